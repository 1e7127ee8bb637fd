package shop;

import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.stereotype.Service;
import org.springframework.transaction.annotation.Transactional;

/** Credits points once for each webhook, however often it comes. */
@Service
public class Points {
    private final JdbcTemplate database;

    public Points(JdbcTemplate database) {
        this.database = database;
    }

    /**
     * Stores the id and credits the points in one transaction: both happen, once, or neither.
     *
     * @throws org.springframework.dao.DuplicateKeyException if it was done before
     */
    @Transactional
    public long credit(String webhookId, Order order) {
        long points = order.amount() / 100;
        database.update("insert into webhooks_done (webhook_id) values (?)", webhookId);
        database.update("insert into points (order_id, points) values (?, ?)", order.orderId(), points);
        return points;
    }
}
