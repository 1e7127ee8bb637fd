package shop.api;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;

/** An order of the service, without the fields that this shop does not use. */
@JsonIgnoreProperties(ignoreUnknown = true)
public record ApiOrder(String status) {}
