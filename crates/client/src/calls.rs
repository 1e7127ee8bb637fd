//! One call for each route.

use autoreceive_domain::Span;
use autoreceive_domain::command::Verb;
use autoreceive_wire::OrderView;
use autoreceive_wire::action::{
    Actions, BackfillFields, BackfilledView, Enabled, MoveFields, RelocatedView,
};
use autoreceive_wire::command::{
    AtFields, CancelFields, ExtendFields, HoldFields, NewOrder, ReceiveFields, RefundFields,
    ReleaseFields, ShipFields,
};
use autoreceive_wire::dead_letter::{DeadLetterView, DeadLetters, ResolvedView, WhichFields};
use autoreceive_wire::report::{ListName, PageView, StatsView};
use autoreceive_wire::time::{AdvanceFields, TestClockView};
use serde::Serialize;

use crate::{Client, Error};

/// The body of a command without fields.
#[derive(Serialize)]
struct Nothing {}

/// Methods that send a command to an order.
macro_rules! commands {
    ($($(#[$doc:meta])* $name:ident($fields:ty) = $verb:ident;)*) => {
        impl Client {$(
            $(#[$doc])*
            ///
            /// # Errors
            /// The order does not permit the command, or the service does not answer.
            pub async fn $name(
                &self,
                order_id: &str,
                fields: &$fields,
            ) -> Result<OrderView, Error> {
                self.command(order_id, Verb::$verb, fields).await
            }
        )*}
    };
}

commands! {
    /// Reports the payment.
    pay(AtFields) = Pay;
    /// Reports the shipment.
    ship(ShipFields) = Ship;
    /// Reports the delivery.
    deliver(AtFields) = Deliver;
    /// Confirms the receipt.
    receive(ReceiveFields) = Receive;
    /// Gives the buyer more time.
    extend(ExtendFields) = Extend;
    /// Places a hold, which stops the clock.
    hold(HoldFields) = Hold;
    /// Releases a hold.
    release(ReleaseFields) = Release;
    /// Cancels the order before its shipment.
    cancel(CancelFields) = Cancel;
    /// Reports a refund.
    refund(RefundFields) = Refund;
}

impl Client {
    /// Places an order. A repeat returns the order as it is now.
    ///
    /// # Errors
    /// Another order already has this id, or the service does not answer.
    pub async fn place(&self, order: &NewOrder) -> Result<OrderView, Error> {
        self.post(&["v1", "orders"], order).await?.read()
    }

    /// Sends a command with any fields.
    ///
    /// # Errors
    /// The order does not permit the command, or the service does not answer.
    pub async fn command(
        &self,
        order_id: &str,
        verb: Verb,
        fields: &(impl Serialize + Sync),
    ) -> Result<OrderView, Error> {
        self.post(&["v1", "orders", order_id, verb.as_str()], fields).await?.read()
    }

    /// One order with its terms.
    ///
    /// # Errors
    /// It does not exist, or the service does not answer.
    pub async fn order(&self, order_id: &str) -> Result<OrderView, Error> {
        self.get(&["v1", "orders", order_id], &[]).await?.read()
    }

    /// A page of a list of orders.
    ///
    /// # Errors
    /// The cursor was not issued by this list, or the service does not answer.
    pub async fn orders(
        &self,
        list: ListName,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<PageView, Error> {
        let mut query = vec![("view", list.as_str().to_owned()), ("limit", limit.to_string())];
        query.extend(cursor.map(|cursor| ("cursor", cursor.to_owned())));
        self.get(&["v1", "orders"], &query).await?.read()
    }

    /// The store's statistics.
    ///
    /// # Errors
    /// The service does not answer.
    pub async fn stats(&self) -> Result<StatsView, Error> {
        self.get(&["v1", "stats"], &[]).await?.read()
    }

    /// The outboxes of all actions.
    ///
    /// # Errors
    /// The service does not answer.
    pub async fn actions(&self) -> Result<Actions, Error> {
        self.get(&["v1", "actions"], &[]).await?.read()
    }

    /// Enables the disabled endpoint of an action.
    ///
    /// # Errors
    /// There is no such action, or the service does not answer.
    pub async fn enable(&self, action: &str) -> Result<Enabled, Error> {
        self.post(&["v1", "actions", action, "enable"], &Nothing {}).await?.read()
    }

    /// One step of a backfill: adds entries for existing orders to a new action.
    ///
    /// # Errors
    /// The action is not configured, or the service does not answer.
    pub async fn backfill(
        &self,
        action: &str,
        from: &BackfillFields,
    ) -> Result<BackfilledView, Error> {
        self.post(&["v1", "actions", action, "backfill"], from).await?.read()
    }

    /// One step of moving the entries of a removed action to another one.
    ///
    /// # Errors
    /// The first action is still configured, the other one is not, or the service does not answer.
    pub async fn move_entries(&self, from: &str, to: &MoveFields) -> Result<RelocatedView, Error> {
        self.post(&["v1", "actions", from, "move"], to).await?.read()
    }

    /// One step of dropping the entries of a removed action.
    ///
    /// # Errors
    /// The action is still configured, or the service does not answer.
    pub async fn drop_entries(&self, action: &str) -> Result<RelocatedView, Error> {
        self.post(&["v1", "actions", action, "drop"], &Nothing {}).await?.read()
    }

    /// A page of dead letters. `query` can have `limit`, `cursor`, `older_than` and `error`.
    ///
    /// # Errors
    /// There is no such action, or the service does not answer.
    pub async fn dead_letters(
        &self,
        action: &str,
        query: &[(&str, String)],
    ) -> Result<DeadLetters, Error> {
        self.get(&["v1", "actions", action, "dead-letters"], query).await?.read()
    }

    /// One dead letter, with its event as it is sent.
    ///
    /// # Errors
    /// It does not exist, or the service does not answer.
    pub async fn dead_letter(&self, action: &str, event_id: &str) -> Result<DeadLetterView, Error> {
        self.get(&["v1", "actions", action, "dead-letters", event_id], &[]).await?.read()
    }

    /// One step of replaying dead letters.
    ///
    /// # Errors
    /// There is no such action, or the service does not answer.
    pub async fn replay(&self, action: &str, which: &WhichFields) -> Result<ResolvedView, Error> {
        self.post(&["v1", "actions", action, "dead-letters", "replay"], which).await?.read()
    }

    /// One step of discarding dead letters permanently.
    ///
    /// # Errors
    /// There is no such action, or the service does not answer.
    pub async fn discard(&self, action: &str, which: &WhichFields) -> Result<ResolvedView, Error> {
        self.post(&["v1", "actions", action, "dead-letters", "discard"], which).await?.read()
    }

    /// Advances the test clock of a service.
    ///
    /// # Errors
    /// The service has no test clock, or does not answer.
    pub async fn advance(&self, by: Span) -> Result<TestClockView, Error> {
        let fields = AdvanceFields { advance: by.to_string() };
        self.post(&["v1", "test", "clock"], &fields).await?.read()
    }
}
