package shop;

import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.time.Instant;
import java.util.Base64;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.stereotype.Component;

/**
 * Checks that a webhook was signed with our secret in the last five minutes
 * (https://www.standardwebhooks.com).
 */
@Component
public class Signatures {
    private static final String PREFIX = "whsec_";
    private static final long TOLERANCE_SECONDS = 300;

    private final SecretKeySpec key;

    public Signatures(@Value("${shop.webhook-secret}") String secret) {
        if (!secret.startsWith(PREFIX)) {
            throw new IllegalArgumentException("AUTORECEIVE_WEBHOOK_SECRET must be a whsec_… secret; make one with `autoreceive secret new`");
        }
        this.key = new SecretKeySpec(Base64.getDecoder().decode(secret.substring(PREFIX.length())), "HmacSHA256");
    }

    /** {@code body} must be the original bytes, not parsed JSON. */
    public boolean isGenuine(String id, String timestamp, String signatures, byte[] body) {
        if (id == null || signatures == null || timestamp == null || !timestamp.matches("[0-9]{1,12}")) {
            return false;
        }
        if (Math.abs(Instant.now().getEpochSecond() - Long.parseLong(timestamp)) > TOLERANCE_SECONDS) {
            return false;
        }
        byte[] expected = ("v1," + Base64.getEncoder().encodeToString(sign(id + "." + timestamp + ".", body))).getBytes(StandardCharsets.US_ASCII);
        boolean genuine = false;
        for (String given : signatures.split(" ")) {
            genuine |= MessageDigest.isEqual(given.getBytes(StandardCharsets.UTF_8), expected);
        }
        return genuine;
    }

    private byte[] sign(String head, byte[] body) {
        try {
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(key);
            mac.update(head.getBytes(StandardCharsets.UTF_8));
            return mac.doFinal(body);
        } catch (GeneralSecurityException impossible) {
            throw new IllegalStateException("every Java has HmacSHA256", impossible);
        }
    }
}
