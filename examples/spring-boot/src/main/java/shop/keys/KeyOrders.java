package shop.keys;

import java.time.Duration;
import org.springframework.context.annotation.Profile;
import org.springframework.data.redis.core.StringRedisTemplate;
import org.springframework.stereotype.Component;
import shop.Orders;

/**
 * The first form: a status key and a trigger key for each order, as in the copied pattern.
 * autoreceive replaces the scheduled job, and this class finds RECEIVED in the status key.
 */
@Component
@Profile("keys")
public class KeyOrders implements Orders {
    private static final String STATUS = "trade:status:";
    private static final String TRIGGER = "trade:auto-receive:";
    private static final Duration WINDOW = Duration.ofSeconds(86_400);

    private final StringRedisTemplate redis;

    public KeyOrders(StringRedisTemplate redis) {
        this.redis = redis;
    }

    /** SET trade:status:ID PENDING_PAYMENT, then SETEX trade:auto-receive:ID 86400 trigger. */
    @Override
    public void initiate(String orderId, String buyerId, long amount) {
        redis.opsForValue().set(STATUS + orderId, "PENDING_PAYMENT");
        redis.opsForValue().set(TRIGGER + orderId, "trigger", WINDOW);
    }

    /** SET trade:status:ID PAID. */
    @Override
    public void confirmPayment(String orderId) {
        redis.opsForValue().set(STATUS + orderId, "PAID");
    }

    /** The shop's status wins up to the last millisecond: a CANCELLED order is not received. */
    @Override
    public void cancel(String orderId) {
        redis.opsForValue().set(STATUS + orderId, "CANCELLED");
    }

    @Override
    public String status(String orderId) {
        return redis.opsForValue().get(STATUS + orderId);
    }
}
