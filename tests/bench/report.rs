//! What was measured: medians with their spread, a table, JSON, and a plot of how cost grows.

use std::path::Path;

use plotters::prelude::*;
use serde::Serialize;

/// A median, with the least and the most.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// Of these, of which there is one at least.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (first, last) = (values.first(), values.last());
        let (least, most) = (*first.expect("a value"), *last.expect("a value"));
        Self { median: values[values.len() / 2], least, most }
    }
}

/// The value that so great a part of these, of which there is one at least, does not exceed.
pub(crate) fn percentile(values: &[f64], part: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let last = values.len() - 1;
    values[((values.len() as f64 * part) as usize).min(last)]
}

/// One figure, beside its limit.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    pub(crate) value: Spread,
    /// What the same work takes at the least, measured in the same run.
    pub(crate) limit: Option<Spread>,
    /// Value by limit, pair by pair.
    pub(crate) ratio: Option<Spread>,
    /// What the limit is.
    pub(crate) beside: &'static str,
}

impl Figure {
    /// A figure without a limit.
    pub(crate) fn alone(name: impl Into<String>, unit: &'static str, values: &[f64]) -> Self {
        let value = Spread::of(values.iter().copied());
        Self { name: name.into(), unit, value, limit: None, ratio: None, beside: "" }
    }

    /// A figure of which each value was measured beside its limit.
    pub(crate) fn paired(
        name: impl Into<String>,
        unit: &'static str,
        pairs: &[(f64, f64)],
        beside: &'static str,
    ) -> Self {
        Self {
            name: name.into(),
            unit,
            value: Spread::of(pairs.iter().map(|pair| pair.0)),
            limit: Some(Spread::of(pairs.iter().map(|pair| pair.1))),
            ratio: Some(Spread::of(pairs.iter().map(|pair| pair.0 / pair.1))),
            beside,
        }
    }
}

/// The figures as a table.
pub(crate) fn table(figures: &[Figure]) -> String {
    let mut text = String::from(
        "| figure | median (least – most) | limit | ratio (least – most) |\n|---|---|---|---|\n",
    );
    for figure in figures {
        let Figure { name, unit, value, limit, ratio, beside } = figure;
        let limit = limit.map_or("-".into(), |it| format!("{} {unit}, {beside}", short(it.median)));
        let ratio = ratio.map_or("-".into(), |it| spread(&it));
        text += &format!("| {name} | {} {unit} | {limit} | {ratio} |\n", spread(value));
    }
    text
}

fn spread(it: &Spread) -> String {
    format!("{} ({} – {})", short(it.median), short(it.least), short(it.most))
}

/// Three digits that mean something.
fn short(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// How something grows with the number of containers.
pub(crate) struct Growth {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

impl Growth {
    /// The exponent of the power of the number that fits best: 1 is in proportion to it.
    pub(crate) fn exponent(&self) -> f64 {
        let points: Vec<_> = self.points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
        let count = points.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
        let (x, y) = (mean(|point| point.0), mean(|point| point.1));
        let both: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
        both / points.iter().map(|point| (point.0 - x).powi(2)).sum::<f64>()
    }
}

/// Draw how several things grow, each with its exponent.
///
/// # Errors
///
/// The file cannot be written.
pub(crate) fn plot(
    file: &Path,
    title: &str,
    unit: &str,
    lines: &[Growth],
) -> Result<(), Box<dyn std::error::Error>> {
    let points = || lines.iter().flat_map(|line| line.points.iter());
    let (mut least, mut most) = ((f64::MAX, f64::MAX), (f64::MIN, f64::MIN));
    for (x, y) in points() {
        least = (least.0.min(*x), least.1.min(*y));
        most = (most.0.max(*x), most.1.max(*y));
    }
    let area = SVGBackend::new(file, (800, 500)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 18))
        .margin(10)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .build_cartesian_2d(
            (least.0..most.0 * 1.1).log_scale(),
            (least.1 * 0.8..most.1 * 1.3).log_scale(),
        )?;
    chart.configure_mesh().x_desc("containers").y_desc(unit).draw()?;
    for (n, line) in lines.iter().enumerate() {
        let colour = Palette99::pick(n).to_rgba();
        let label = format!("{} (exponent {:.2})", line.name, line.exponent());
        chart
            .draw_series(
                LineSeries::new(line.points.iter().copied(), colour.stroke_width(2)).point_size(3),
            )?
            .label(label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .draw()?;
    area.present()?;
    Ok(())
}
