package shop;

/** What the shop does with its orders; the two forms differ in nothing else. */
public interface Orders {
    /** The buyer ordered, and has not paid yet. */
    void initiate(String orderId, String buyerId, long amount);

    /** The payment was confirmed: the buyer's silence counts from now on. */
    void confirmPayment(String orderId);

    /** The shop or the buyer changed their mind. */
    void cancel(String orderId);

    /** Where the order stands, or null. */
    String status(String orderId);
}
