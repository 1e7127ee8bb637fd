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

/** The endpoint for events, in both forms. It replaces the actions of the scheduled job. */
@RestController
public class WebhookController {
    private static final Logger log = LoggerFactory.getLogger(WebhookController.class);
    private static final int BODY_BYTES = 256 * 1024;

    private final Signatures signatures;
    private final PostReceive postReceive;
    private final ObjectMapper json;

    public WebhookController(Signatures signatures, PostReceive postReceive, ObjectMapper json) {
        this.signatures = signatures;
        this.postReceive = postReceive;
        this.json = json;
    }

    /** Answers 204 only after the work is done: without a 2xx the webhook comes again. */
    @PostMapping("/autoreceive")
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
            run(id, event.data().order());
        }
        return ResponseEntity.noContent().build();
    }

    private void run(String id, OrderEvent.Order order) {
        try {
            postReceive.run(id, order);
            log.info("{} is received", order.orderId());
        } catch (DuplicateKeyException repeat) {
            log.info("{} again: nothing to do", id);
        }
    }
}
