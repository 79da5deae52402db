//! The outcome as one page that needs nothing else: figures, plots drawn when it is written, and the
//! data they were drawn from.

use std::{error::Error, fmt::Write};

use plotters::{
    chart::ChartBuilder,
    drawing::IntoDrawingArea,
    prelude::{LineSeries, SVGBackend},
    style::{Color, RGBColor, WHITE},
};

use super::figures::{Figures, Outcome};
use crate::exit::{Exit, Stop};

/// The size of a plot, in pixels.
const SIZE: (u32, u32) = (760, 260);

/// One color a run, from the first on again when there are more.
const COLORS: [RGBColor; 5] = [
    RGBColor(31, 119, 180),
    RGBColor(255, 127, 14),
    RGBColor(44, 160, 44),
    RGBColor(214, 39, 40),
    RGBColor(148, 103, 189),
];

const STYLE: &str = "body{font:15px/1.5 sans-serif;max-width:800px;margin:2em auto;padding:0 1em}\
    table{border-collapse:collapse}td,th{padding:.2em .8em;text-align:left;border-bottom:1px solid #ccc}\
    svg{max-width:100%;height:auto}pre{overflow:auto;background:#f4f4f4;padding:1em}";

/// A line of a plot.
pub(crate) type Points = Vec<(f64, f64)>;

/// A plot of one line a run.
struct Plot {
    title: &'static str,
    x: &'static str,
    y: &'static str,
    label: fn(&f64) -> String,
    of: fn(&Figures) -> Points,
}

const PLOTS: [Plot; 3] = [
    Plot {
        title: "Throughput",
        x: "seconds",
        y: "payloads/s",
        label: |at| format!("{at:.1}"),
        of: |run| run.timeline.iter().map(|point| (point.at_s, point.per_s)).collect(),
    },
    Plot {
        title: "Longest latency",
        x: "seconds",
        y: "ms",
        label: |at| format!("{at:.1}"),
        of: |run| run.timeline.iter().map(|point| (point.at_s, point.slowest_ms)).collect(),
    },
    Plot {
        title: "Latency by share of payloads",
        x: "share of payloads",
        y: "ms",
        label: |nines| format!("{:.4}", 1.0 - 0.1_f64.powf(*nines)),
        of: |run| {
            // The last nines are stretched: that is where users meet them.
            let shown = run.percentiles_ms.iter().filter(|(share, _)| *share < 1.0);
            shown.map(|(share, ms)| (-(1.0 - share).log10(), *ms)).collect()
        },
    },
];

/// The page.
pub(crate) fn page(outcome: &Outcome, text: &str, json: &str) -> Result<String, Stop> {
    let mut body = String::new();
    for Plot { title, x, y, label, of } in PLOTS {
        let lines: Vec<Points> = outcome.runs.iter().map(of).collect();
        body.push_str(&plot([title, x, y], &label, &lines)?);
    }
    body.push_str(&table(outcome));
    Ok(frame("maftia bench", text, &body, json))
}

/// A page with a text, a body, and the data from which it was made.
pub(crate) fn frame(title: &str, text: &str, body: &str, json: &str) -> String {
    // No `</script>` can end the data early.
    let data = json.replace("</", "<\\/");
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <title>{title}</title><style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n\
         <pre>{}</pre>\n{body}\
         <script type=\"application/json\" id=\"result\">{data}</script>\n</body></html>\n",
        escaped(text)
    )
}

/// A plot of these lines, with its title and the words at its axes.
pub(crate) fn plot(
    words: [&str; 3],
    label: &dyn Fn(&f64) -> String,
    lines: &[Points],
) -> Result<String, Stop> {
    let drawn = draw(words, label, lines);
    drawn.map_err(|error| Stop::new(Exit::Bug, error.to_string(), ""))
}

fn draw(
    [title, x, y]: [&str; 3],
    label: &dyn Fn(&f64) -> String,
    lines: &[Points],
) -> Result<String, Box<dyn Error>> {
    let all = || lines.iter().flatten();
    let right = all().map(|(x, _)| *x).fold(f64::MIN_POSITIVE, f64::max);
    let top = all().map(|(_, y)| *y).fold(f64::MIN_POSITIVE, f64::max) * 1.05;
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 18))
            .margin(10)
            .x_label_area_size(40)
            .y_label_area_size(70)
            .build_cartesian_2d(0.0..right, 0.0..top)?;
        let mut mesh = chart.configure_mesh();
        mesh.x_desc(x).y_desc(y).x_label_formatter(&label).draw()?;
        for (line, color) in lines.iter().zip(COLORS.iter().cycle()) {
            chart.draw_series(LineSeries::new(line.clone(), color.stroke_width(2)))?;
        }
        area.present()?;
    }
    Ok(format!("<figure>{svg}</figure>\n"))
}

/// The runs, one a line.
fn table(outcome: &Outcome) -> String {
    let mut table = "<table><tr><th>run<th>payloads/s<th>CPU us<th>p50 ms<th>p90 ms<th>p99 ms\
                     <th>max ms<th>gaps<th>duplicates<th>disorders</tr>\n"
        .to_owned();
    for (number, run) in (1..).zip(&outcome.runs) {
        let latency = run.latency_ms;
        let row = writeln!(
            table,
            "<tr><td>{number}<td>{:.0}<td>{:.2}<td>{:.2}<td>{:.2}<td>{:.2}<td>{:.2}<td>{}<td>{}<td>{}</tr>",
            run.throughput_per_s,
            run.cpu_us_per_payload,
            latency.p50,
            latency.p90,
            latency.p99,
            latency.max,
            run.gaps,
            run.duplicates,
            run.disorders,
        );
        row.expect("a string takes it");
    }
    table + "</table>\n"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{figures::Point, plan::tests::plan};

    #[test]
    fn a_page_has_plots_and_needs_nothing_else() {
        let point = |at_s: f64| Point { at_s, per_s: 7.0, slowest_ms: 1.5 };
        let mut run = Figures { timeline: vec![point(0.0), point(0.25)], ..Figures::default() };
        run.latencies([(1_000, 9), (2_000, 1)].into_iter());
        let outcome = Outcome::of(plan().config(), vec![run, Figures::default()], &[]);
        let page = page(&outcome, "1 < 2", "{\"a\":\"</script>\"}").expect("it can be drawn");
        assert_eq!(page.matches("<svg").count(), 3);
        assert!(page.contains("<polyline"), "a run is a line");
        assert_eq!(page.matches("</script>").count(), 1, "data cannot end its script");
        assert!(page.contains("1 &lt; 2") && page.contains("<td>2<td>0"));
        let away = ["src=", "href=", "@import", "url("];
        assert!(away.iter().all(|word| !page.contains(word)), "nothing is fetched");
    }
}
