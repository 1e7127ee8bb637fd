package shop;

import java.util.Map;
import org.springframework.http.HttpStatus;
import org.springframework.http.ResponseEntity;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.ResponseStatus;
import org.springframework.web.bind.annotation.RestController;

/** The shop's own pages. */
@RestController
@RequestMapping("/orders/{orderId}")
public class OrderController {
    private final Orders orders;

    public OrderController(Orders orders) {
        this.orders = orders;
    }

    @PostMapping
    @ResponseStatus(HttpStatus.CREATED)
    public void initiate(
            @PathVariable("orderId") String orderId,
            @RequestParam("buyer") String buyer,
            @RequestParam(name = "amount", defaultValue = "59000") long amount) {
        orders.initiate(orderId, buyer, amount);
    }

    @PostMapping("/payment")
    @ResponseStatus(HttpStatus.NO_CONTENT)
    public void pay(@PathVariable("orderId") String orderId) {
        orders.confirmPayment(orderId);
    }

    @PostMapping("/cancellation")
    @ResponseStatus(HttpStatus.NO_CONTENT)
    public void cancel(@PathVariable("orderId") String orderId) {
        orders.cancel(orderId);
    }

    @GetMapping
    public ResponseEntity<Map<String, String>> show(@PathVariable("orderId") String orderId) {
        String status = orders.status(orderId);
        return status == null ? ResponseEntity.notFound().build() : ResponseEntity.ok(Map.of("orderId", orderId, "status", status));
    }
}
