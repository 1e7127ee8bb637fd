//! The one-off version: what is there, and all of it taken over.

use std::collections::BTreeMap;

use autoreceive_domain::OrderId;

use super::Intake;
use super::look::{Left, Scope};
use super::scan::Walk;
use super::shop::{Shop, Trigger};
use super::words::{Class, Status, Words};

/// How many keys are asked for in one step; nobody waits for these, so there is no pause.
const STEP: usize = 500;
/// How many different words are counted, and how many of the others.
const WORDS: usize = 50;

/// What the shop's keys hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// How many orders have a status key.
    pub orders: u64,
    /// How many stand in each status; under "…" those of rarer words.
    pub statuses: BTreeMap<String, u64>,
    /// How many are paid.
    pub paid: u64,
    /// How many of these have no trigger (any more).
    pub without_trigger: u64,
    /// In how many milliseconds the triggers of paid orders end: the first and the last.
    pub ends_ms: Option<(i64, i64)>,
    /// How many triggers have no status.
    pub stray_triggers: u64,
    /// How many orders hold a word that is nearly one of ours, by that word and ours: `paid` in
    /// place of `PAID`.
    pub nearly: BTreeMap<(String, String), u64>,
    /// How many keys or orders look odd, those included.
    pub odd: u64,
}

/// Takes stock of the shop's keys; changes nothing. `odd` is told of every key that looks odd, and
/// why.
///
/// # Errors
/// Where the shop's Redis does not answer.
pub async fn survey(shop: &Shop, mut odd: impl FnMut(&str, &str)) -> Result<Survey, String> {
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
            if status == Status::Nothing {
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
    ) -> Result<(), String> {
        let statuses = shop.statuses(&ids).await?;
        let mut paid = Vec::new();
        for (id, status) in ids.into_iter().zip(statuses) {
            match &status {
                Status::ShopDecision(word) => {
                    self.orders += 1;
                    self.count(word);
                    self.count_nearly(word, &shop.words);
                    if shop.words.class(&status) == Class::Paid {
                        paid.push(id);
                    }
                }
                Status::NotAString(_) => {
                    self.odd += 1;
                    odd(&shop.statuses.key(&id), &status.to_string());
                }
                Status::Nothing => {}
            }
        }
        self.paid += paid.len() as u64;
        for (id, end) in paid.iter().zip(shop.ends(&paid).await?) {
            match end {
                Trigger::Gone => self.without_trigger += 1,
                Trigger::In(ms) => {
                    let (first, last) = self.ends_ms.unwrap_or((ms, ms));
                    self.ends_ms = Some((first.min(ms), last.max(ms)));
                }
                Trigger::Never => {
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
        let word = if is_new && self.statuses.len() >= WORDS { "…".to_owned() } else { shown };
        *self.statuses.entry(word).or_default() += 1;
    }

    fn count_nearly(&mut self, word: &str, words: &Words) {
        let Some(ours) = nearly(word, words) else { return };
        self.odd += 1;
        let both = (word.escape_debug().to_string(), ours.to_owned());
        if self.nearly.contains_key(&both) || self.nearly.len() < WORDS {
            *self.nearly.entry(both).or_default() += 1;
        }
    }
}

/// The word of ours that `word` differs from by nothing but its letters' case, or what stands
/// around it: quotes, a line break.
fn nearly<'w>(word: &str, words: &'w Words) -> Option<&'w str> {
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

/// What was taken over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Adopted {
    /// Orders that were adopted now.
    pub adopted: u64,
    /// Adopted ones that followed their status now.
    pub followed: u64,
    /// Orders that were placed by a command.
    pub placed_by_command: u64,
    /// All others: adopted before, or not paid.
    pub unchanged: u64,
}

impl Intake {
    /// Takes over every paid order, those without a trigger too. A repeat changes nothing. `step`
    /// is told how many status keys were found so far; `left` which orders were left alone, and
    /// why.
    ///
    /// # Errors
    /// Where the shop's Redis or the store does not answer; doing it again goes on where it ended.
    pub async fn adopt_all(
        &self,
        mut step: impl FnMut(u64),
        mut left: impl FnMut(&str, &str),
    ) -> Result<Adopted, String> {
        let mut walk = Walk::default();
        self.walk(Scope::All, &mut walk, |walk| step(walk.keys)).await?;
        // What is paid without a trigger from now on is no history.
        self.engine.remember(&[self.first_scan_name()]).await.map_err(|error| error.to_string())?;
        for (id, why) in &walk.found.left {
            match why {
                Left::PlacedByCommand => left(
                    &self.shop.statuses.key(id),
                    "the order was placed by a command, and follows commands",
                ),
                Left::History => {}
            }
        }
        let found = walk.found;
        Ok(Adopted {
            adopted: found.adopted,
            followed: found.changed,
            placed_by_command: found.placed_by_command,
            unchanged: found.unchanged,
        })
    }
}
