//! The figures of several runs merged into one: the median of each.

use serde_json::{Map, Value};

/// The median of every figure. Other values are those of the first run.
#[must_use]
pub fn median(runs: &[Value]) -> Value {
    merged(&runs.iter().collect::<Vec<_>>(), &|sorted| {
        let upper = sorted.get(sorted.len() / 2).copied().unwrap_or(0.0);
        let lower = sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(upper);
        f64::midpoint(lower, upper)
    })
}

/// The minimum of every figure.
#[must_use]
pub fn min(runs: &[Value]) -> Value {
    merged(&runs.iter().collect::<Vec<_>>(), &|sorted| sorted.first().copied().unwrap_or(0.0))
}

/// The maximum of every figure.
#[must_use]
pub fn max(runs: &[Value]) -> Value {
    merged(&runs.iter().collect::<Vec<_>>(), &|sorted| sorted.last().copied().unwrap_or(0.0))
}

/// A value with the shape of the first run. `pick` gets the sorted numbers of all `runs` for each
/// number in it.
fn merged(runs: &[&Value], pick: &dyn Fn(&[f64]) -> f64) -> Value {
    match runs.first() {
        Some(Value::Object(fields)) => {
            let field = |key: &String| {
                (
                    key.clone(),
                    merged(&runs.iter().filter_map(|run| run.get(key)).collect::<Vec<_>>(), pick),
                )
            };
            Value::Object(fields.keys().map(field).collect::<Map<_, _>>())
        }
        Some(Value::Array(values)) => {
            let at = |i: usize| {
                merged(&runs.iter().filter_map(|run| run.get(i)).collect::<Vec<_>>(), pick)
            };
            Value::Array((0..values.len()).map(at).collect())
        }
        Some(Value::Number(first)) => {
            let mut numbers: Vec<f64> = runs.iter().filter_map(|run| run.as_f64()).collect();
            numbers.sort_by(f64::total_cmp);
            let picked = pick(&numbers);
            // Integers that are equal in every run (orders, batch) stay integers.
            if first.is_u64() && first.as_f64() == Some(picked) {
                Value::Number(first.clone())
            } else {
                picked.into()
            }
        }
        Some(&other) => other.clone(),
        None => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_figure_has_its_own_median_and_texts_come_from_the_first_run() {
        let run = |rate: f64, p99: f64| {
            json!({
                "bench": "herd",
                "orders": 10,
                "rate": rate,
                "lag_ms": {"p99": p99},
                "steps": [{"s": rate}],
            })
        };
        let runs = [run(3.0, 7.0), run(1.0, 9.0), run(2.0, 8.0)];
        assert_eq!(median(&runs), run(2.0, 8.0));
        assert_eq!(min(&runs)["rate"], 1.0);
        assert_eq!(max(&runs)["lag_ms"]["p99"], 9.0);
    }

    #[test]
    fn the_median_of_an_even_number_of_runs_is_the_mean_of_the_two_in_the_middle() {
        assert_eq!(median(&[json!(1.0), json!(4.0), json!(2.0), json!(3.0)]), json!(2.5));
    }
}
