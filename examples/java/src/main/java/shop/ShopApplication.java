package shop;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.boot.ApplicationRunner;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;

/** A shop: places and pays orders, and credits points when they are received. */
@SpringBootApplication
public class ShopApplication {
    private static final Logger log = LoggerFactory.getLogger(ShopApplication.class);

    public static void main(String[] args) {
        SpringApplication.run(ShopApplication.class, args);
    }

    @Bean
    ApplicationRunner buy(Autoreceive autoreceive) {
        return arguments -> {
            for (String orderId : arguments.getNonOptionArgs()) {
                autoreceive.place(orderId, "buyer-7", 59_000, "KRW");
                log.info("{} is {}", orderId, autoreceive.pay(orderId).status());
            }
        };
    }
}
