//! Charts of figures: SVG files that need no installed font.

use std::path::{Path, PathBuf};

use anyhow::Context;
use plotters::prelude::*;
use serde_json::Value;

/// One chart.
struct Chart {
    title: &'static str,
    x: (&'static str, AxisScale),
    y: &'static str,
    lines: Vec<Series>,
}

struct Series {
    name: &'static str,
    points: Vec<(f64, f64)>,
}

/// The scale and the labels of an x axis.
#[derive(Clone, Copy)]
enum AxisScale {
    /// p90 at 1, p99 at 2, p99.9 at 3.
    Nines,
    /// 10, 100, 1,000 in equal steps.
    Powers,
    Plain,
}

const COLOURS: [RGBColor; 3] =
    [RGBColor(31, 119, 180), RGBColor(214, 90, 30), RGBColor(44, 140, 60)];

/// Draws `figures` into a file in `directory` and returns its path; `None` if they have no chart.
///
/// # Errors
/// If the file cannot be written.
pub fn draw(figures: &Value, directory: &Path) -> anyhow::Result<Option<PathBuf>> {
    let Some(plot) = plot(figures) else { return Ok(None) };
    std::fs::create_dir_all(directory)
        .with_context(|| format!("creating {}", directory.display()))?;
    let path = directory.join(format!("{}.svg", figures["bench"].as_str().unwrap_or("bench")));
    plot.draw(&path).with_context(|| format!("writing {}", path.display()))?;
    Ok(Some(path))
}

fn plot(figures: &Value) -> Option<Chart> {
    let nines = ("of all orders", AxisScale::Nines);
    let lag = Series { name: "lag", points: percentiles(&figures["lag_ms"]) };
    Some(match figures["bench"].as_str()? {
        "herd" => {
            let ping =
                Series { name: "PING of another client", points: percentiles(&figures["ping_ms"]) };
            Chart { title: "Lag after one instant", x: nines, y: "ms", lines: vec![lag, ping] }
        }
        "steady" => Chart { title: "Lag of a steady stream", x: nines, y: "ms", lines: vec![lag] },
        "api" => {
            let latency = Series {
                name: "single command",
                points: percentiles(&figures["single"]["latency_ms"]),
            };
            Chart {
                title: "Latency over HTTP",
                x: ("of all commands", AxisScale::Nines),
                y: "ms",
                lines: vec![latency],
            }
        }
        "waiting" => {
            let step = |ms: fn(&Value) -> Option<f64>| points(&figures["steps"], "waiting", ms);
            let lines = vec![
                Series {
                    name: "until all were received",
                    points: step(|step| Some(step["seconds"].as_f64()? * 1_000.0)),
                },
                Series {
                    name: "processor time",
                    points: step(|step| Some(step["cpu_seconds"]["total"].as_f64()? * 1_000.0)),
                },
            ];
            Chart {
                title: "1,000 due orders among more and more waiting ones",
                x: ("orders waiting", AxisScale::Powers),
                y: "ms",
                lines,
            }
        }
        "memory" => {
            let plain = |kind: &Value| {
                kind["bytes_per_order"].as_f64().filter(|_| kind["id_characters"] == 18)
            };
            let lines = vec![Series {
                name: "id of 18 characters",
                points: points(&figures["kinds"], "data_bytes", plain),
            }];
            Chart {
                title: "Size of a waiting order",
                x: ("bytes of data", AxisScale::Plain),
                y: "bytes",
                lines,
            }
        }
        _ => return None,
    })
}

fn points(list: &Value, x: &str, y: impl Fn(&Value) -> Option<f64>) -> Vec<(f64, f64)> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(|item| Some((item[x].as_f64()?, y(item)?)))
        .collect()
}

fn percentiles(ms: &Value) -> Vec<(f64, f64)> {
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)]
        .into_iter()
        .filter_map(|(name, q)| Some((q, ms[name].as_f64()?)))
        .collect()
}

impl AxisScale {
    fn place(self, x: f64) -> f64 {
        match self {
            AxisScale::Nines => -(1.0 - x).log10(),
            AxisScale::Powers => x.max(1.0).log10(),
            AxisScale::Plain => x,
        }
    }

    fn label(self, place: f64) -> String {
        match self {
            AxisScale::Nines if place < 0.01 => "the fastest".to_owned(),
            AxisScale::Nines => {
                format!("{} %", ((1.0 - 10_f64.powf(-place)) * 100_000.0).round() / 1_000.0)
            }
            AxisScale::Powers => format!("{:.0}", 10_f64.powf(place)),
            AxisScale::Plain => format!("{place:.0}"),
        }
    }
}

impl Chart {
    fn draw(&self, path: &Path) -> anyhow::Result<()> {
        let root = SVGBackend::new(path, (720, 400)).into_drawing_area();
        root.fill(&WHITE)?;
        let title = self.title;
        let scale = self.x.1;
        let most = |of: fn(&(f64, f64)) -> f64| {
            self.lines.iter().flat_map(|line| &line.points).map(of).fold(0.0, f64::max)
        };
        let least = |of: fn(&(f64, f64)) -> f64| {
            self.lines.iter().flat_map(|line| &line.points).map(of).fold(f64::MAX, f64::min)
        };
        let first =
            if matches!(scale, AxisScale::Powers) { scale.place(least(|p| p.0)) } else { 0.0 };
        let x = first..scale.place(most(|point| point.0)).max(first + 1.0) * 1.001;
        let mut chart = ChartBuilder::on(&root)
            .margin(16)
            .caption(title, ("sans-serif", 20))
            .x_label_area_size(40)
            .y_label_area_size(64)
            .build_cartesian_2d(x, 0.0..most(|point| point.1).max(1.0) * 1.05)?;
        chart
            .configure_mesh()
            .x_desc(self.x.0)
            .y_desc(self.y)
            .x_labels(5)
            .x_label_formatter(&|&place| scale.label(place))
            .y_label_formatter(&|y| format!("{y:.0}"))
            .light_line_style(WHITE)
            .draw()?;
        for (line, colour) in self
            .lines
            .iter()
            .filter(|line| !line.points.is_empty())
            .zip(COLOURS.into_iter().cycle())
        {
            let points: Vec<(f64, f64)> =
                line.points.iter().map(|&(x, y)| (scale.place(x), y)).collect();
            chart
                .draw_series(
                    LineSeries::new(points.iter().copied(), colour.stroke_width(2)).point_size(3),
                )?
                .label(line.name)
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2))
                });
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE)
            .border_style(BLACK)
            .draw()?;
        root.present()?;
        Ok(())
    }
}
