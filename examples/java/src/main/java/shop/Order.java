package shop;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonProperty;

/** An order as autoreceive shows it; what this shop does not use is passed over. */
@JsonIgnoreProperties(ignoreUnknown = true)
public record Order(@JsonProperty("order_id") String orderId, String status, long version, long amount, String currency) {}
