package shop.api;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;

/** An order as the service shows it; what this shop does not use is passed over. */
@JsonIgnoreProperties(ignoreUnknown = true)
public record ApiOrder(String status) {}
