package shop;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.springframework.boot.CommandLineRunner;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.data.redis.RedisSystemException;
import org.springframework.data.redis.connection.stream.Consumer;
import org.springframework.data.redis.connection.stream.MapRecord;
import org.springframework.data.redis.connection.stream.ReadOffset;
import org.springframework.data.redis.connection.stream.StreamOffset;
import org.springframework.data.redis.connection.stream.StreamReadOptions;
import org.springframework.data.redis.core.StreamOperations;
import org.springframework.data.redis.core.StringRedisTemplate;

/** A consumer in a group: credits points once per event id. See README.md. */
@SpringBootApplication
public class PointsConsumer implements CommandLineRunner {
    private static final String GROUP = "points";
    private final String stream = System.getenv().getOrDefault("STREAM", "orders");
    // Each instance needs its own name and keeps it over restarts: Redis stores its unacknowledged
    // entries under this name.
    private final Consumer consumer = Consumer.from(GROUP, System.getenv().getOrDefault("CONSUMER", "points-1"));
    private final StringRedisTemplate redis;
    private final StreamOperations<String, String, String> streams;
    private final ObjectMapper json;

    PointsConsumer(StringRedisTemplate redis, ObjectMapper json) {
        this.redis = redis;
        this.streams = redis.opsForStream();
        this.json = json;
    }

    public static void main(String[] args) {
        SpringApplication.run(PointsConsumer.class, args);
    }

    @Override
    public void run(String... args) throws Exception {
        createGroup();
        // First the entries that were read before a crash, then new ones.
        String position = "0";
        while (true) {
            StreamReadOptions options = StreamReadOptions.empty().count(100).block(Duration.ofSeconds(5));
            StreamOffset<String> offset = StreamOffset.create(stream, ReadOffset.from(position));
            List<MapRecord<String, String, String>> entries = streams.read(consumer, options, offset);
            boolean none = entries == null || entries.isEmpty();
            if (none) {
                position = ">";
                continue;
            }
            for (MapRecord<String, String, String> entry : entries) {
                handle(entry.getValue());
                streams.acknowledge(stream, GROUP, entry.getId());
            }
            if (!position.equals(">")) {
                position = entries.get(entries.size() - 1).getId().getValue();
            }
        }
    }

    private void handle(Map<String, String> event) throws Exception {
        // A trimmed entry has no fields.
        if (event == null || !"order.received".equals(event.get("type"))) {
            return;
        }
        JsonNode order = json.readTree(event.get("body")).at("/data/order");
        long points = order.path("amount").asLong() / 100;
        // The event's id is the field, so a repeat does nothing. A buyer's points are the sum.
        redis.opsForHash().putIfAbsent("points:" + order.path("buyer_id").asText(), event.get("id"), Long.toString(points));
    }

    private void createGroup() {
        try {
            streams.createGroup(stream, ReadOffset.from("0"), GROUP);
        } catch (RedisSystemException exception) {
            // The group exists (BUSYGROUP). Any other error appears again at the first read.
        }
    }
}
