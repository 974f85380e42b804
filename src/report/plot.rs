//! Pictures: convergence curves and spy plots as SVG. The only file that knows the plotting crate.
//!
//! Colours of a curve are the style-sheet variables `--c0` to `--c9` of the page, lines and letters
//! take its text colour: a picture follows the page from light to dark.
use kuva::prelude::{Layout, LinePlot, LineStyle, Plot, Theme, render_to_svg};

/// Colours that the page has to define.
pub const COLOURS: usize = 10;

/// A curve: the stopping measure, iteration by iteration.
pub struct Curve<'a> {
    /// What the key calls it.
    pub label: &'a str,
    /// Which of the colours, counted round.
    pub colour: usize,
    /// Drawn with dashes.
    pub dashed: bool,
    /// The measure before the first and after every iteration.
    pub history: &'a [f64],
}

/// Curves over iterations, both axes logarithmic; iteration 0 is left out. `None` where there is
/// nothing to draw.
pub fn convergence(curves: &[Curve<'_>], measure: &str) -> Option<String> {
    let mut plots: Vec<Plot> = Vec::new();
    for curve in curves {
        let points = thinned(curve.history);
        if points.is_empty() {
            continue;
        }
        let style = if curve.dashed { LineStyle::Dashed } else { LineStyle::Solid };
        let line = LinePlot::new()
            .with_data(points)
            .with_color(format!("var(--c{})", curve.colour % COLOURS))
            .with_line_style(style)
            .with_stroke_width(2.0)
            .with_legend(curve.label);
        plots.push(line.into());
    }
    if plots.is_empty() {
        return None;
    }
    let theme = Theme {
        background: "none".into(),
        axis_color: "currentColor".into(),
        grid_color: "var(--grid)".into(),
        tick_color: "currentColor".into(),
        text_color: "currentColor".into(),
        legend_bg: "none".into(),
        legend_border: "none".into(),
        ..Theme::light()
    };
    let layout = Layout::auto_from_plots(&plots)
        .with_log_scale()
        .with_x_label("iteration")
        .with_y_label(measure)
        .with_theme(theme);
    Some(scalable(&render_to_svg(plots, layout)))
}

/// `(iteration, measure)` from iteration 1 on, as many points as the eye can tell apart on a
/// logarithmic axis; values that a logarithm cannot show are left out.
fn thinned(history: &[f64]) -> Vec<(f64, f64)> {
    let mut points = Vec::new();
    let mut next = 1.0;
    for (iteration, &measure) in history.iter().enumerate().skip(1) {
        let last = iteration + 1 == history.len();
        let wanted = iteration as f64 >= next || last;
        if wanted && measure > 0.0 && measure.is_finite() {
            points.push((iteration as f64, measure));
            next = iteration as f64 * 1.01;
        }
    }
    points
}

/// The same picture with the size left to the page.
fn scalable(svg: &str) -> String {
    let size = |name: &str| {
        let from = svg.find(&format!(" {name}=\""))? + name.len() + 3;
        let text = &svg[from..from + svg[from..].find('"')?];
        text.parse::<f64>().ok().map(|value| (format!(" {name}=\"{text}\""), value))
    };
    match (size("width"), size("height")) {
        (Some((width, w)), Some((height, h))) => svg
            .replacen(&width, &format!(" viewBox=\"0 0 {w} {h}\" role=\"img\""), 1)
            .replacen(&height, "", 1)
            .replacen(" fill=\"black\"", " fill=\"currentColor\"", 1),
        _ => svg.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_histories_are_thinned_and_keep_their_ends() {
        let history: Vec<f64> = (0..100_000).map(|k| 1.0 / f64::from(k + 1)).collect();
        let points = thinned(&history);
        assert!(points.len() < 1200, "{}", points.len());
        assert_eq!(points[0].0, 1.0);
        assert_eq!(points.last().map(|p| p.0), Some(99_999.0));
        assert!(thinned(&[1.0, 0.0, f64::NAN, f64::INFINITY, -1.0]).is_empty());
    }

    #[test]
    fn a_picture_escapes_labels_and_takes_its_colours_from_the_page() {
        let curve = Curve { label: "<b>&", colour: 11, dashed: true, history: &[1.0, 0.1, 1e-9] };
        let svg = convergence(&[curve], "residual").unwrap();
        assert!(svg.contains("&lt;b&gt;&amp;") && !svg.contains("<b>"));
        assert!(
            svg.contains("var(--c1)")
                && svg.contains("viewBox=")
                && !svg.contains("fill=\"black\"")
        );
        assert!(svg.contains("1e-9"), "{svg}");
        assert!(convergence(&[], "residual").is_none());
    }
}
