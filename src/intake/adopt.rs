//! Takes over all orders once, for a migration: first a survey, then the adoption.

use std::collections::BTreeMap;

use autoreceive_domain::OrderId;

use super::observe::{Scope, SkipReason};
use super::scan::Walk;
use super::shop::{Shop, Trigger};
use super::words::{ShopStatus, StatusClass, StatusWords};
use super::{Intake, IntakeError};

/// Keys per step. Nobody waits for a survey, so the steps are large.
const STEP: usize = 500;
/// The most different words that are counted, and the most similar ones.
const MAX_WORDS: usize = 50;

/// The content of the shop's keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Orders with a status key.
    pub orders: u64,
    /// Orders by status. "…" counts the orders with rarer words.
    pub statuses: BTreeMap<String, u64>,
    /// Paid orders.
    pub paid: u64,
    /// Paid orders without a trigger.
    pub without_trigger: u64,
    /// The time until the first and the last trigger of a paid order ends.
    pub ends_ms: Option<(i64, i64)>,
    /// Triggers without a status.
    pub stray_triggers: u64,
    /// Orders with a word similar to one of ours, by that word and ours, for example `paid` and
    /// `PAID`.
    pub nearly: BTreeMap<(String, String), u64>,
    /// Unusual keys and orders, including those in `nearly`.
    pub odd: u64,
}

/// Reads all of the shop's keys and changes nothing. Calls `odd` with each unusual key and the
/// reason.
///
/// # Errors
/// If the shop's Redis does not answer.
pub async fn survey(shop: &Shop, mut odd: impl FnMut(&str, &str)) -> Result<Survey, IntakeError> {
    let mut survey = Survey::default();
    let mut cursor = 0;
    loop {
        let page = shop.scan(&shop.statuses, cursor, STEP).await?;
        let ids = survey.ids(&page.keys, |key| shop.statuses.id(key), &mut odd);
        survey.take_statuses(shop, ids, &mut odd).await?;
        cursor = page.cursor;
        if cursor == 0 {
            break;
        }
    }
    loop {
        let page = shop.scan(&shop.triggers, cursor, STEP).await?;
        let ids = survey.ids(&page.keys, |key| shop.triggers.id(key), &mut odd);
        for (id, status) in ids.iter().zip(shop.statuses(&ids).await?) {
            if status == ShopStatus::Missing {
                survey.stray_triggers += 1;
                odd(&shop.triggers.key(id), "a trigger without a status");
            }
        }
        cursor = page.cursor;
        if cursor == 0 {
            return Ok(survey);
        }
    }
}

impl Survey {
    fn ids<E: std::fmt::Display>(
        &mut self,
        keys: &[Vec<u8>],
        id: impl Fn(&[u8]) -> Option<Result<OrderId, E>>,
        odd: &mut impl FnMut(&str, &str),
    ) -> Vec<OrderId> {
        let mut ids = Vec::with_capacity(keys.len());
        for key in keys {
            match id(key) {
                Some(Ok(id)) => ids.push(id),
                Some(Err(wrong)) => {
                    self.odd += 1;
                    odd(&key.escape_ascii().to_string(), &wrong.to_string());
                }
                None => {}
            }
        }
        ids
    }

    async fn take_statuses(
        &mut self,
        shop: &Shop,
        ids: Vec<OrderId>,
        odd: &mut impl FnMut(&str, &str),
    ) -> Result<(), IntakeError> {
        let statuses = shop.statuses(&ids).await?;
        let mut paid = Vec::new();
        for (id, status) in ids.into_iter().zip(statuses) {
            match &status {
                ShopStatus::Word(word) => {
                    self.orders += 1;
                    self.count(word);
                    self.count_nearly(word, &shop.words);
                    if shop.words.class(&status) == StatusClass::Paid {
                        paid.push(id);
                    }
                }
                ShopStatus::NotAString(_) => {
                    self.odd += 1;
                    odd(&shop.statuses.key(&id), &status.to_string());
                }
                ShopStatus::Missing => {}
            }
        }
        self.paid += paid.len() as u64;
        for (id, trigger) in paid.iter().zip(shop.trigger_ends(&paid).await?) {
            match trigger {
                Trigger::Gone => self.without_trigger += 1,
                Trigger::EndsIn(ms) => {
                    let (first, last) = self.ends_ms.unwrap_or((ms, ms));
                    self.ends_ms = Some((first.min(ms), last.max(ms)));
                }
                Trigger::Endless => {
                    self.odd += 1;
                    odd(&shop.triggers.key(id), "a trigger without a time to live");
                }
            }
        }
        Ok(())
    }

    fn count(&mut self, word: &str) {
        let shown: String = word.chars().filter(|c| !c.is_control()).take(40).collect();
        let is_new = !self.statuses.contains_key(&shown);
        let word =
            if is_new && self.statuses.len() >= MAX_WORDS { "…".to_owned() } else { shown };
        *self.statuses.entry(word).or_default() += 1;
    }

    fn count_nearly(&mut self, word: &str, words: &StatusWords) {
        let Some(ours) = nearly(word, words) else { return };
        self.odd += 1;
        let both = (word.escape_debug().to_string(), ours.to_owned());
        if self.nearly.contains_key(&both) || self.nearly.len() < MAX_WORDS {
            *self.nearly.entry(both).or_default() += 1;
        }
    }
}

/// Our word that differs from `word` only in case or in surrounding quotes, spaces and line breaks.
fn nearly<'w>(word: &str, words: &'w StatusWords) -> Option<&'w str> {
    let bare = |text: &str| text.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    let ours = || {
        [&words.paid, &words.received].into_iter().chain(&words.cancelled).chain(&words.refunded)
    };
    if ours().any(|known| known == word) {
        None
    } else {
        ours().find(|known| bare(known) == bare(word)).map(String::as_str)
    }
}

/// The result of an adoption.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Adopted {
    /// Orders adopted now.
    pub adopted: u64,
    /// Adopted orders that changed with their status.
    pub followed: u64,
    /// Orders that were placed by a command.
    pub placed_by_command: u64,
    /// All others: adopted before, or not paid.
    pub unchanged: u64,
}

impl Intake {
    /// Takes over every paid order, with or without a trigger. A repeat changes nothing. Calls
    /// `step` with the number of status keys so far, and `skipped` with each skipped key and the
    /// reason.
    ///
    /// # Errors
    /// If the shop's Redis or the store does not answer. A repeat continues.
    pub async fn adopt_all(
        &self,
        mut step: impl FnMut(u64),
        mut skipped: impl FnMut(&str, &str),
    ) -> Result<Adopted, IntakeError> {
        let mut walk = Walk::default();
        self.walk(Scope::All, &mut walk, |walk| step(walk.keys)).await?;
        // From now on a paid order without a trigger is not history.
        self.engine.remember(&[self.first_scan_name()]).await?;
        for (id, reason) in &walk.outcome.skipped {
            match reason {
                SkipReason::PlacedByCommand => skipped(
                    &self.shop.statuses.key(id),
                    "the order was placed by a command, and follows commands",
                ),
                SkipReason::History => {}
            }
        }
        let outcome = walk.outcome;
        Ok(Adopted {
            adopted: outcome.adopted,
            followed: outcome.changed,
            placed_by_command: outcome.placed_by_command,
            unchanged: outcome.unchanged,
        })
    }
}
