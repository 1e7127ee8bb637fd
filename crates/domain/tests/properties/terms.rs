//! Terms, revisions and durations as text.

use autoreceive_domain::{Policy, Revision, Span, Terms};
use proptest::prelude::*;

use crate::generate::{Scale, nasty, terms};

proptest! {
    #[test]
    fn terms_are_read_as_they_were_written(terms in terms(Scale::Any)) {
        prop_assert_eq!(terms.to_string().parse::<Terms>().unwrap(), terms);
    }

    #[test]
        fn terms_of_a_newer_version_are_ignored(
        terms in terms(Scale::Days),
        place in 0..12usize,
        value in "[a-z0-9=,.%-]{0,12}",
    ) {
        let mut pairs: Vec<String> = terms.to_string().split(' ').map(str::to_owned).collect();
        let place = place.min(pairs.len());
        pairs.insert(place, format!("newer_name={value}"));
        prop_assert_eq!(pairs.join(" ").parse::<Terms>().unwrap(), terms);
    }

    #[test]
        fn equal_terms_have_the_same_revision_and_different_terms_another(
        one in terms(Scale::Days),
        other in terms(Scale::Days),
    ) {
        let revision = |terms: &Terms| Policy::new("default", terms.clone()).unwrap().revision;
        prop_assert_eq!(revision(&one), revision(&one.clone()));
        prop_assert_eq!(one == other, revision(&one) == revision(&other));
        for near in neighbours(&one) {
            prop_assert_ne!(revision(&near), revision(&one), "{}", near);
        }
    }

    #[test]
        fn a_revision_is_read_as_it_was_written_and_names_its_policy(
        name in "[a-z0-9_-]{1,32}",
        terms in terms(Scale::Any),
    ) {
        let revision = Policy::new(&name, terms).unwrap().revision;
        prop_assert_eq!(revision.name(), name.as_str());
        prop_assert_eq!(&revision.to_string().parse::<Revision>().unwrap(), &revision);
    }

    #[test]
    fn no_text_panics_as_terms_revision_or_policy_name(text in nasty(80), any in any::<String>()) {
        for text in [text, any] {
            let _ = text.parse::<Terms>();
            let _ = text.parse::<Revision>();
            let _ = Policy::new(&text, Terms::default());
            let _ = format!("receive_after={text} remind_before={text}").parse::<Terms>();
        }
    }

    #[test]
        fn a_duration_is_read_as_it_was_written(
        ms in any::<i64>(),
        small in 0..=100_000_000i64,
        days in 0..=3_653i64,
    ) {
        for ms in [ms, small, days * 86_400_000] {
            let span = Span::from_ms(ms);
            prop_assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
        }
    }

    #[test]
        fn any_text_is_a_duration_or_an_error(
        digits in "[0-9]{0,25}",
        unit in "ms|s|m|h|d|w|S|",
        text in any::<String>(),
    ) {
        for text in [format!("{digits}{unit}"), text] {
            if let Ok(span) = text.parse::<Span>() {
                prop_assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
            }
        }
    }
}

/// The same terms with one value changed by the smallest step.
fn neighbours(terms: &Terms) -> [Terms; 11] {
    let more = |span: Span| Span::from_ms(span.ms() + 1);
    let other = |span: Option<Span>| Some(span.map_or(Span::ZERO, more));
    let base = || terms.clone();
    let next = match terms.starts_at {
        autoreceive_domain::StartsAt::Paid => autoreceive_domain::StartsAt::Shipped,
        autoreceive_domain::StartsAt::Shipped => autoreceive_domain::StartsAt::Delivered,
        autoreceive_domain::StartsAt::Delivered => autoreceive_domain::StartsAt::Paid,
    };
    let mut reminders = terms.remind_before.clone();
    reminders.push(Span::ZERO);
    [
        Terms { pay_within: other(terms.pay_within), ..base() },
        Terms { starts_at: next, ..base() },
        Terms { receive_after: more(terms.receive_after), ..base() },
        Terms { fallback_after: other(terms.fallback_after), ..base() },
        Terms { ship_within: other(terms.ship_within), ..base() },
        Terms { remind_before: reminders, ..base() },
        Terms { max_extensions: terms.max_extensions + 1, ..base() },
        Terms { extend_by: more(terms.extend_by), ..base() },
        Terms { release_grace: more(terms.release_grace), ..base() },
        Terms { settle_after: other(terms.settle_after), ..base() },
        Terms { retain_for: more(terms.retain_for), ..base() },
    ]
}
