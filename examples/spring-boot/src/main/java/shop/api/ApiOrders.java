package shop.api;

import java.time.Duration;
import java.util.Map;
import java.util.Set;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.context.annotation.Profile;
import org.springframework.http.MediaType;
import org.springframework.http.client.SimpleClientHttpRequestFactory;
import org.springframework.stereotype.Component;
import org.springframework.web.client.HttpClientErrorException;
import org.springframework.web.client.ResourceAccessException;
import org.springframework.web.client.RestClient;
import org.springframework.web.client.RestClientException;
import org.springframework.web.client.RestClientResponseException;
import shop.Orders;

/**
 * The second form: the same shop without keys. It repeats a command after no answer, 408, 429 or
 * 503: every command is safe to repeat.
 */
@Component
@Profile("api")
public class ApiOrders implements Orders {
    private static final Set<Integer> NOT_NOW = Set.of(408, 429, 503);
    private static final int ATTEMPTS = 5;

    private final RestClient client;

    public ApiOrders(RestClient.Builder builder, @Value("${shop.service}") String service, @Value("${shop.token}") String token) {
        var requests = new SimpleClientHttpRequestFactory();
        requests.setConnectTimeout(Duration.ofSeconds(5));
        requests.setReadTimeout(Duration.ofSeconds(10));
        builder.baseUrl(service).requestFactory(requests);
        if (!token.isEmpty()) {
            builder.defaultHeader("Authorization", "Bearer " + token);
        }
        this.client = builder.build();
    }

    @Override
    public void initiate(String orderId, String buyerId, long amount) {
        ask(Map.of("order_id", orderId, "buyer_id", buyerId, "amount", amount, "currency", "KRW"), "/v1/orders");
    }

    @Override
    public void confirmPayment(String orderId) {
        ask(Map.of(), "/v1/orders/{id}/pay", orderId);
    }

    @Override
    public void cancel(String orderId) {
        ask(Map.of("reason", "changed their mind"), "/v1/orders/{id}/cancel", orderId);
    }

    @Override
    public String status(String orderId) {
        try {
            return client.get().uri("/v1/orders/{id}", orderId).retrieve().body(ApiOrder.class).status();
        } catch (HttpClientErrorException.NotFound unknown) {
            return null;
        }
    }

    /** RestClient percent-encodes the names in {@code path}, also a slash in an order's id. */
    private void ask(Object body, String path, Object... names) {
        for (int attempt = 1; ; attempt++) {
            try {
                client.post().uri(path, names).contentType(MediaType.APPLICATION_JSON).body(body).retrieve().toBodilessEntity();
                return;
            } catch (RestClientException failure) {
                if (attempt == ATTEMPTS || !isWorthRepeating(failure)) {
                    throw failure;
                }
            }
            pause(500L * attempt);
        }
    }

    /** Any other status is a refusal. Its body has a code and lists the possible commands. */
    private static boolean isWorthRepeating(RestClientException failure) {
        return failure instanceof ResourceAccessException
                || (failure instanceof RestClientResponseException answer && NOT_NOW.contains(answer.getStatusCode().value()));
    }

    private static void pause(long millis) {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException stopping) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("the shop is stopping", stopping);
        }
    }
}
