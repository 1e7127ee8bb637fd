package shop;

/** The shop's operations on orders. The two forms differ only here. */
public interface Orders {
    /** The buyer ordered, and has not paid yet. */
    void initiate(String orderId, String buyerId, long amount);

    /** The payment was confirmed: the buyer's silence counts from now on. */
    void confirmPayment(String orderId);

    /** The shop or the buyer cancelled. */
    void cancel(String orderId);

    /** The order's status, or null. */
    String status(String orderId);
}
