package shop;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonProperty;

/** An order of autoreceive, without the fields that this shop does not use. */
@JsonIgnoreProperties(ignoreUnknown = true)
public record Order(@JsonProperty("order_id") String orderId, String status, long version, long amount, String currency) {}
