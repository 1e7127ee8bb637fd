package shop;

import java.time.Duration;
import java.util.Map;
import java.util.Set;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.http.MediaType;
import org.springframework.http.client.SimpleClientHttpRequestFactory;
import org.springframework.stereotype.Component;
import org.springframework.web.client.ResourceAccessException;
import org.springframework.web.client.RestClient;
import org.springframework.web.client.RestClientException;
import org.springframework.web.client.RestClientResponseException;

/** Calls the service. After no answer, 408, 429 or 503 it repeats a command, which is safe. */
@Component
public class Autoreceive {
    private static final Set<Integer> NOT_NOW = Set.of(408, 429, 503);
    private static final int ATTEMPTS = 10;

    private final RestClient client;

    public Autoreceive(RestClient.Builder builder, @Value("${shop.service}") String service, @Value("${shop.token}") String token) {
        var requests = new SimpleClientHttpRequestFactory();
        requests.setConnectTimeout(Duration.ofSeconds(5));
        requests.setReadTimeout(Duration.ofSeconds(10));
        builder.baseUrl(service).requestFactory(requests);
        if (!token.isEmpty()) {
            builder.defaultHeader("Authorization", "Bearer " + token);
        }
        this.client = builder.build();
    }

    /** Places an order. The amount is in minor units: 59000 KRW is ₩59,000. */
    public Order place(String orderId, String buyerId, long amount, String currency) throws InterruptedException {
        var order = Map.of("order_id", orderId, "buyer_id", buyerId, "amount", amount, "currency", currency);
        return ask(order, "/v1/orders");
    }

    /** Reports the payment: from now on the buyer's silence counts. */
    public Order pay(String orderId) throws InterruptedException {
        return ask(Map.of(), "/v1/orders/{id}/pay", orderId);
    }

    /** RestClient percent-encodes the names in {@code path}, also a slash in an order's id. */
    private Order ask(Object body, String path, Object... names) throws InterruptedException {
        for (int attempt = 1; ; attempt++) {
            try {
                return client.post().uri(path, names).contentType(MediaType.APPLICATION_JSON).body(body).retrieve().body(Order.class);
            } catch (RestClientException failure) {
                if (attempt == ATTEMPTS || !isWorthRepeating(failure)) {
                    throw failure;
                }
            }
            Thread.sleep(Math.min(500L * attempt, 5_000L));
        }
    }

    /** Any other status is a refusal. Its body has a code and lists the possible commands. */
    private static boolean isWorthRepeating(RestClientException failure) {
        return failure instanceof ResourceAccessException
                || (failure instanceof RestClientResponseException answer && NOT_NOW.contains(answer.getStatusCode().value()));
    }
}
