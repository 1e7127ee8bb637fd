package shop;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonProperty;

/** The body of a webhook. An order that was adopted from keys has no buyer and no amount. */
@JsonIgnoreProperties(ignoreUnknown = true)
public record OrderEvent(String id, String type, Data data) {

    @JsonIgnoreProperties(ignoreUnknown = true)
    public record Data(String cause, Order order) {}

    @JsonIgnoreProperties(ignoreUnknown = true)
    public record Order(@JsonProperty("order_id") String orderId, String status, @JsonProperty("buyer_id") String buyerId, Long amount) {}
}
