//! Draws stacked bars over time as SVG. The colours are those of the light page; the style sheet
//! replaces them on a dark page.

use crate::report::view::{ColumnView, SectionView};
use plotters::prelude::*;

const WIDTH: u32 = 1000;
const HEIGHT: u32 = 240;
const INK: RGBColor = RGBColor(0x4a, 0x55, 0x65);
const GRID: RGBColor = RGBColor(0xe2, 0xe6, 0xea);
/// The most labels below the bars.
const LABELS_MAX: usize = 16;

/// Returns the colour of a series: by its name where the name has a meaning, else by its index.
fn colour(name: &str, index: usize) -> RGBColor {
    match name {
        "critical" => RGBColor(0xa8, 0x12, 0x3a),
        "high" | "no" => RGBColor(0xd1, 0x49, 0x0f),
        "medium" => RGBColor(0xb3, 0x7d, 0x0a),
        "low" => RGBColor(0x2b, 0x6c, 0xb0),
        "yes" => RGBColor(0x2f, 0x85, 0x5a),
        "info" | "unknown" => RGBColor(0x7a, 0x86, 0x94),
        _ => [
            RGBColor(0x2b, 0x6c, 0xb0),
            RGBColor(0x2f, 0x85, 0x5a),
            RGBColor(0xb3, 0x7d, 0x0a),
            RGBColor(0x7a, 0x86, 0x94),
        ][index % 4],
    }
}

/// Draws the rows of a section as stacked bars. The first column has the labels, each further
/// column is a series.
///
/// # Errors
/// A sentence where the chart cannot be drawn.
pub(super) fn bar_chart(section: &SectionView) -> Result<String, String> {
    let value = |row: usize, column: usize| {
        section.rows[row][column]
            .sort
            .as_deref()
            .and_then(|text| text.parse::<u64>().ok())
            .unwrap_or(0)
    };
    let sum = |row: usize| (1..section.columns.len()).map(|column| value(row, column)).sum::<u64>();
    let rows = section.rows.len();
    let max = (0..rows).map(sum).max().unwrap_or(0).max(1);
    let mut svg = String::new();
    draw(&mut svg, section, rows, max, &value).map_err(|e| e.to_string())?;
    Ok(svg)
}

/// Draws `rows` bars onto `svg`. `value` returns the value of a row and column, and `max` is the
/// greatest sum of a row.
fn draw(
    svg: &mut String,
    section: &SectionView,
    rows: usize,
    max: u64,
    value: &dyn Fn(usize, usize) -> u64,
) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(svg, (WIDTH, HEIGHT)).into_drawing_area();
    let mut chart = ChartBuilder::on(&root)
        .margin(6)
        .x_label_area_size(28)
        .y_label_area_size(52)
        .build_cartesian_2d(
        (0..rows.saturating_sub(1)).into_segmented(),
        0..max + max.div_ceil(20),
    )?;
    let label = |at: &SegmentValue<usize>| match at {
        SegmentValue::CenterOf(at) => {
            section.rows.get(*at).map(|row| row[0].text.clone()).unwrap_or_default()
        }
        _ => String::new(),
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .axis_style(INK)
        .x_labels(rows.clamp(1, LABELS_MAX))
        .y_labels(5)
        .x_label_formatter(&label)
        .label_style(("sans-serif", 13).into_font().color(&INK))
        .draw()?;
    for row in 0..rows {
        let mut low = 0;
        for (at, column) in section.columns.iter().enumerate().skip(1) {
            let high = low + value(row, at);
            if high > low {
                let next =
                    if row + 1 < rows { SegmentValue::Exact(row + 1) } else { SegmentValue::Last };
                let mut bar = Rectangle::new(
                    [(SegmentValue::Exact(row), low), (next, high)],
                    colour(&column.name, at - 1).filled(),
                );
                bar.set_margin(0, 0, 2, 2);
                chart.draw_series(std::iter::once(bar))?;
            }
            low = high;
        }
    }
    root.present()?;
    Ok(())
}

/// Returns label and colour (`#RRGGBB`) of each series.
pub(super) fn legend(section: &SectionView) -> Vec<(String, String)> {
    let entry = |(at, column): (usize, &ColumnView)| {
        let RGBColor(red, green, blue) = colour(&column.name, at);
        (column.label.clone(), format!("#{red:02X}{green:02X}{blue:02X}"))
    };
    section.columns.iter().skip(1).enumerate().map(entry).collect()
}
