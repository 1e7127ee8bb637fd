package shop;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.dao.DuplicateKeyException;
import org.springframework.http.HttpStatus;
import org.springframework.http.ResponseEntity;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestHeader;
import org.springframework.web.bind.annotation.RestController;

/** The endpoint for events of autoreceive. */
@RestController
public class WebhookController {
    private static final Logger log = LoggerFactory.getLogger(WebhookController.class);
    private static final int BODY_BYTES = 256 * 1024;

    private final Signatures signatures;
    private final Points points;
    private final ObjectMapper json;

    public WebhookController(Signatures signatures, Points points, ObjectMapper json) {
        this.signatures = signatures;
        this.points = points;
        this.json = json;
    }

    /** Answers 204 only after the work is done: without a 2xx the webhook comes again. */
    @PostMapping("/")
    public ResponseEntity<Void> receive(
            @RequestHeader(name = "webhook-id", required = false) String id,
            @RequestHeader(name = "webhook-timestamp", required = false) String timestamp,
            @RequestHeader(name = "webhook-signature", required = false) String signature,
            InputStream stream)
            throws IOException {
        byte[] body = stream.readNBytes(BODY_BYTES + 1);
        if (body.length > BODY_BYTES) {
            return ResponseEntity.status(HttpStatus.PAYLOAD_TOO_LARGE).build();
        }
        if (!signatures.isGenuine(id, timestamp, signature, body)) {
            return ResponseEntity.status(HttpStatus.UNAUTHORIZED).build();
        }
        OrderEvent event = json.readValue(body, OrderEvent.class);
        if (event.type().equals("order.received")) {
            credit(id, event.data().order());
        }
        return ResponseEntity.noContent().build();
    }

    private void credit(String id, Order order) {
        try {
            log.info("{}: {} points", order.orderId(), points.credit(id, order));
        } catch (DuplicateKeyException repeat) {
            log.info("{} again: nothing to do", id);
        }
    }
}
