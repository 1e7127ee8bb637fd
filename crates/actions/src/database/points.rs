//! Computes the points of a receipt. Only integers and fractions of integers are used, so that the
//! result is rounded once.

use std::fmt;
use std::str::FromStr;

use autoreceive_domain::Order;

/// A fraction: points for one minor unit of the amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    numerator: u64,
    denominator: u64,
}

/// A text that is not a rate.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is not a rate: expected a fraction of two whole numbers, for example \"1/100\" for one point \
     per 100 minor units of the amount"
)]
pub struct WrongRate;

/// The points of a receipt under one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Earning {
    /// Points for one minor unit.
    pub rate: Rate,
    /// Smaller amounts, in minor units, earn nothing.
    pub minimum_amount: u64,
    /// The most points for one order.
    pub cap: Option<u64>,
}

/// The points of orders with a certain policy or currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The policy; `None` for every policy.
    pub policy: Option<String>,
    /// The currency; `None` for every currency.
    pub currency: Option<String>,
    /// The points of these orders.
    pub earning: Earning,
}

/// The points of all orders. The first matching rule decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Points {
    /// The rules, in the order of their use.
    pub rules: Vec<Rule>,
    /// The points of orders that match no rule.
    pub others: Earning,
}

impl Points {
    /// The points for the receipt of `order`; 0 if it has no amount. `None` if the number is larger
    /// than the databases can store.
    #[must_use]
    pub fn of(&self, order: &Order) -> Option<i64> {
        let earning = self
            .rules
            .iter()
            .find(|rule| rule.matches(order))
            .map_or(&self.others, |rule| &rule.earning);
        i64::try_from(earning.points(order.amount.unwrap_or(0))).ok()
    }
}

impl Rule {
    fn matches(&self, order: &Order) -> bool {
        let currency = order.currency.as_ref().map(|currency| currency.as_str());
        self.policy.as_deref().is_none_or(|policy| policy == order.revision.name())
            && self.currency.as_deref().is_none_or(|wanted| Some(wanted) == currency)
    }
}

impl Earning {
    /// `floor(amount × rate)`, at most the cap.
    fn points(&self, amount: u64) -> u128 {
        if amount < self.minimum_amount {
            return 0;
        }
        // The product of two 64-bit numbers always fits into 128 bits.
        let points = u128::from(amount) * u128::from(self.rate.numerator)
            / u128::from(self.rate.denominator);
        self.cap.map_or(points, |cap| points.min(cap.into()))
    }
}

impl FromStr for Rate {
    type Err = WrongRate;

    fn from_str(text: &str) -> Result<Rate, WrongRate> {
        let (numerator, denominator) = text.split_once('/').unwrap_or((text, "1"));
        let rate = Rate { numerator: whole(numerator)?, denominator: whole(denominator)? };
        if rate.denominator == 0 { Err(WrongRate) } else { Ok(rate) }
    }
}

/// Accepts digits only; `parse` alone would accept a sign, too.
fn whole(text: &str) -> Result<u64, WrongRate> {
    let text = text.trim();
    if text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse().map_err(|_| WrongRate)
    } else {
        Err(WrongRate)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.numerator, self.denominator)
    }
}

#[cfg(test)]
mod tests {
    use autoreceive_domain::record;

    use super::*;

    fn order(amount: &str, revision: &str) -> Order {
        let id = "A-1".parse().unwrap();
        record::decode(&id, &format!("5|R|tm4q0000|a{amount}|r{revision}|q1")).unwrap()
    }

    fn earning(rate: &str) -> Earning {
        Earning { rate: rate.parse().unwrap(), minimum_amount: 0, cap: None }
    }

    #[test]
    fn points_are_rounded_down_from_the_exact_product() {
        for (rate, amount, points) in [
            ("1/100", 59_000, 590),
            ("1/100", 99, 0),
            ("1/100", 199, 1),
            ("1/3", 100, 33),
            ("29/100", 100, 29),
            ("0/5", 100, 0),
            ("2", 7, 14),
            ("1/3", u64::MAX, 6_148_914_691_236_517_205),
        ] {
            assert_eq!(earning(rate).points(amount), points, "{amount} × {rate}");
        }
    }

    #[test]
    fn more_points_than_a_database_can_store_give_none() {
        let points = Points { rules: Vec::new(), others: earning("9223372036854775807/1") };
        assert_eq!(points.of(&order("1KRW", "default.k3x9q1")), Some(i64::MAX));
        assert_eq!(points.of(&order("2KRW", "default.k3x9q1")), None);
    }

    #[test]
    fn small_orders_earn_nothing_and_large_ones_no_more_than_the_cap() {
        let earning = Earning { minimum_amount: 1_000, cap: Some(50), ..earning("1/100") };
        assert_eq!(
            [999, 1_000, 5_000, 5_100, u64::MAX].map(|amount| earning.points(amount)),
            [0, 10, 50, 50, 50]
        );
    }

    #[test]
    fn the_first_rule_that_matches_policy_and_currency_decides() {
        let rule = |policy: Option<&str>, currency: Option<&str>, rate| Rule {
            policy: policy.map(str::to_owned),
            currency: currency.map(str::to_owned),
            earning: earning(rate),
        };
        let rules = vec![
            rule(Some("gold"), Some("USD"), "4"),
            rule(Some("gold"), None, "3"),
            rule(None, Some("USD"), "2"),
        ];
        let points = Points { rules, others: earning("1") };
        for (amount, revision, expected) in [
            ("10USD", "gold.k3x9q1", 40),
            ("10KRW", "gold.k3x9q1", 30),
            ("10USD", "default.k3x9q1", 20),
            ("10", "default.k3x9q1", 10),
        ] {
            assert_eq!(points.of(&order(amount, revision)), Some(expected), "{amount} {revision}");
        }
    }

    #[test]
    fn a_rate_must_be_a_fraction_of_whole_numbers() {
        for wrong in [
            "",
            "/",
            "1/",
            "/1",
            "1/0",
            "0.01",
            "-1/100",
            "+1/100",
            "1/100/2",
            "1e2",
            "99999999999999999999/1",
            "1%",
        ] {
            assert_eq!(wrong.parse::<Rate>(), Err(WrongRate), "{wrong:?}");
        }
        assert_eq!(" 3 / 200 ".parse::<Rate>().unwrap().to_string(), "3/200");
    }
}
