//! Names that are kept in mind.

use super::kit::*;

every_store!(names_are_kept_in_mind_until_they_are_forgotten);

async fn names_are_kept_in_mind_until_they_are_forgotten(store: Kept) {
    let names: Vec<String> = (0..2_500).map(|i| format!("intake: history 주문 {i}")).collect();
    let (some, others) = names.split_at(1_200);
    assert_eq!(store.remembered(&names).await.unwrap(), vec![false; names.len()]);
    store.remember(some).await.unwrap();
    store.remember(&some[..7]).await.unwrap();
    let known = store.remembered(&names).await.unwrap();
    assert!(known[..1_200].iter().all(|known| *known) && known[1_200..].iter().all(|known| !known));
    store.forget(&[&some[..600], others].concat()).await.unwrap();
    let known = store.remembered(&names).await.unwrap();
    assert_eq!(known.iter().filter(|known| **known).count(), 600);
    assert!(known[600..1_200].iter().all(|known| *known));
    for nothing in [store.remember(&[]).await, store.forget(&[]).await, store.remembered(&[]).await.map(drop)] {
        nothing.unwrap();
    }
}
