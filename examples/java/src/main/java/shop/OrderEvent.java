package shop;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;

/** The body of a webhook. */
@JsonIgnoreProperties(ignoreUnknown = true)
public record OrderEvent(String id, String type, Data data) {

    @JsonIgnoreProperties(ignoreUnknown = true)
    public record Data(String cause, Order order) {}
}
