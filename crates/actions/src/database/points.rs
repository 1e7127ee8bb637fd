//! How many points a receipt is worth: whole numbers and fractions of whole numbers, so that
//! nothing is ever rounded twice.

use std::fmt;
use std::str::FromStr;

use autoreceive_domain::Order;

/// A fraction: points for one minor unit of the amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    numerator: u64,
    denominator: u64,
}

/// A text that is no rate.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is not a rate: a fraction of two whole numbers is expected, for example \"1/100\" for a \
        point for every 100 of the amount"
)]
pub struct WrongRate;

/// What a receipt earns under one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Earning {
    /// Points for one minor unit.
    pub rate: Rate,
    /// Orders of less than this, in minor units, earn nothing.
    pub minimum_amount: u64,
    /// The most points for one order.
    pub cap: Option<u64>,
}

/// What orders of some policy or some currency earn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The policy it is for; every one where none is named.
    pub policy: Option<String>,
    /// The currency it is for; every one where none is named.
    pub currency: Option<String>,
    /// What they earn.
    pub earning: Earning,
}

/// How many points orders earn: as the first rule says that fits, else as all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Points {
    /// Looked at from first to last.
    pub rules: Vec<Rule>,
    /// What orders earn that no rule fits.
    pub others: Earning,
}

impl Points {
    /// What the receipt of `order` is worth; nothing where it has no amount. `None` where it is
    /// more than a database keeps.
    #[must_use]
    pub fn of(&self, order: &Order) -> Option<i64> {
        let earning = self
            .rules
            .iter()
            .find(|rule| rule.fits(order))
            .map_or(&self.others, |rule| &rule.earning);
        i64::try_from(earning.points(order.amount.unwrap_or(0))).ok()
    }
}

impl Rule {
    fn fits(&self, order: &Order) -> bool {
        let currency = order.currency.as_ref().map(|currency| currency.as_str());
        self.policy.as_deref().is_none_or(|policy| policy == order.revision.name())
            && self.currency.as_deref().is_none_or(|wanted| Some(wanted) == currency)
    }
}

impl Earning {
    /// `floor(amount × rate)`, not more than the cap.
    fn points(&self, amount: u64) -> u128 {
        if amount < self.minimum_amount {
            return 0;
        }
        // Two numbers of 64 bits always fit into 128 as a product.
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

/// A number of digits only; `parse` would take a sign, too.
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
    fn a_receipt_worth_more_than_a_database_keeps_is_told_apart() {
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
    fn the_first_rule_that_fits_policy_and_currency_decides() {
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
    fn what_is_no_fraction_of_whole_numbers_is_no_rate() {
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
