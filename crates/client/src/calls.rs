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

/// The fields of a command without any.
#[derive(Serialize)]
struct Nothing {}

/// A call that sends the fields of a command to an order.
macro_rules! commands {
    ($($(#[$doc:meta])* $name:ident($fields:ty) = $verb:ident;)*) => {
        impl Client {$(
            $(#[$doc])*
            ///
            /// # Errors
            /// Where the order refuses it, or the service does not answer.
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
    /// The payment was confirmed.
    pay(AtFields) = Pay;
    /// The parcel was handed over.
    ship(ShipFields) = Ship;
    /// The parcel arrived.
    deliver(AtFields) = Deliver;
    /// Confirms the receipt.
    receive(ReceiveFields) = Receive;
    /// Gives the buyer more time.
    extend(ExtendFields) = Extend;
    /// Stops the clock.
    hold(HoldFields) = Hold;
    /// Takes a hold off.
    release(ReleaseFields) = Release;
    /// Cancels before the shipment.
    cancel(CancelFields) = Cancel;
    /// The money was paid back.
    refund(RefundFields) = Refund;
}

impl Client {
    /// Places an order. The same order placed again is answered as it is now.
    ///
    /// # Errors
    /// Where another order was placed under the id, or the service does not answer.
    pub async fn place(&self, order: &NewOrder) -> Result<OrderView, Error> {
        self.post(&["v1", "orders"], order).await?.read()
    }

    /// Carries out a command with any fields.
    ///
    /// # Errors
    /// Where the order refuses it, or the service does not answer.
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
    /// Where there is none, or the service does not answer.
    pub async fn order(&self, order_id: &str) -> Result<OrderView, Error> {
        self.get(&["v1", "orders", order_id], &[]).await?.read()
    }

    /// A page of a list of orders.
    ///
    /// # Errors
    /// Where the cursor is not one of this list, or the service does not answer.
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

    /// The store's figures.
    ///
    /// # Errors
    /// Where the service does not answer.
    pub async fn stats(&self) -> Result<StatsView, Error> {
        self.get(&["v1", "stats"], &[]).await?.read()
    }

    /// The outboxes of all actions.
    ///
    /// # Errors
    /// Where the service does not answer.
    pub async fn actions(&self) -> Result<Actions, Error> {
        self.get(&["v1", "actions"], &[]).await?.read()
    }

    /// Lets the disabled endpoint of an action be attempted again.
    ///
    /// # Errors
    /// Where there is no such action, or the service does not answer.
    pub async fn enable(&self, action: &str) -> Result<Enabled, Error> {
        self.post(&["v1", "actions", action, "enable"], &Nothing {}).await?.read()
    }

    /// One step of feeding an action that was added later.
    ///
    /// # Errors
    /// Where the action is not configured, or the service does not answer.
    pub async fn backfill(
        &self,
        action: &str,
        from: &BackfillFields,
    ) -> Result<BackfilledView, Error> {
        self.post(&["v1", "actions", action, "backfill"], from).await?.read()
    }

    /// One step of giving what an action left behind to another one.
    ///
    /// # Errors
    /// Where the first is configured or the other is not, or the service does not answer.
    pub async fn move_entries(&self, from: &str, to: &MoveFields) -> Result<RelocatedView, Error> {
        self.post(&["v1", "actions", from, "move"], to).await?.read()
    }

    /// One step of dropping what an action left behind.
    ///
    /// # Errors
    /// Where it is configured, or the service does not answer.
    pub async fn drop_entries(&self, action: &str) -> Result<RelocatedView, Error> {
        self.post(&["v1", "actions", action, "drop"], &Nothing {}).await?.read()
    }

    /// A page of dead letters. `query` holds any of `limit`, `cursor`, `older_than` and `error`.
    ///
    /// # Errors
    /// Where there is no such action, or the service does not answer.
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
    /// Where there is none, or the service does not answer.
    pub async fn dead_letter(&self, action: &str, event_id: &str) -> Result<DeadLetterView, Error> {
        self.get(&["v1", "actions", action, "dead-letters", event_id], &[]).await?.read()
    }

    /// One step of having dead letters attempted again.
    ///
    /// # Errors
    /// Where there is no such action, or the service does not answer.
    pub async fn replay(&self, action: &str, which: &WhichFields) -> Result<ResolvedView, Error> {
        self.post(&["v1", "actions", action, "dead-letters", "replay"], which).await?.read()
    }

    /// One step of dropping dead letters for good.
    ///
    /// # Errors
    /// Where there is no such action, or the service does not answer.
    pub async fn discard(&self, action: &str, which: &WhichFields) -> Result<ResolvedView, Error> {
        self.post(&["v1", "actions", action, "dead-letters", "discard"], which).await?.read()
    }

    /// Puts the time of a service for tests forward.
    ///
    /// # Errors
    /// Where the service has no test clock, or does not answer.
    pub async fn advance(&self, by: Span) -> Result<TestClockView, Error> {
        let fields = AdvanceFields { advance: by.to_string() };
        self.post(&["v1", "test", "clock"], &fields).await?.read()
    }
}
