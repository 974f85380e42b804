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

/// A curve through points.
pub struct Points<'a> {
    /// What the key calls it.
    pub label: &'a str,
    /// Which of the colours, counted round.
    pub colour: usize,
    /// Drawn with dashes.
    pub dashed: bool,
    /// The points, from left to right.
    pub points: Vec<(f64, f64)>,
}

/// Curves over iterations, both axes logarithmic; iteration 0 is left out. `None` where there is
/// nothing to draw.
pub fn convergence(curves: &[Curve<'_>], measure: &str) -> Option<String> {
    let curves = curves.iter().map(|curve| Points {
        label: curve.label,
        colour: curve.colour,
        dashed: curve.dashed,
        points: thinned(curve.history),
    });
    draw(curves, ["iteration", measure], Layout::with_log_scale)
}

/// Curves with a logarithmic axis upwards. `None` where there is nothing to draw.
pub fn spectra(curves: &[Points<'_>], axes: [&str; 2]) -> Option<String> {
    let curves = curves.iter().map(|curve| Points {
        points: curve.points.iter().copied().filter(|p| p.1 > 0.0 && p.1.is_finite()).collect(),
        ..*curve
    });
    draw(curves, axes, Layout::with_log_y)
}

/// Curves with both axes logarithmic. `None` where there is nothing to draw.
pub fn logarithmic(curves: &[Points<'_>], axes: [&str; 2]) -> Option<String> {
    let positive = |p: &(f64, f64)| p.0 > 0.0 && p.1 > 0.0 && p.1.is_finite();
    let curves = curves.iter().map(|curve| Points {
        points: curve.points.iter().copied().filter(positive).collect(),
        ..*curve
    });
    draw(curves, axes, Layout::with_log_scale)
}

/// Steps of shares from 0 to 1 over a logarithmic axis. `None` where there is nothing to draw.
pub fn shares(curves: &[Points<'_>], axes: [&str; 2]) -> Option<String> {
    let curves = curves.iter().map(|curve| Points { points: curve.points.clone(), ..*curve });
    draw(curves, axes, |layout| layout.with_log_x().with_y_axis_min(0.0).with_y_axis_max(1.0))
}

fn draw<'a>(
    curves: impl Iterator<Item = Points<'a>>,
    [across, upwards]: [&str; 2],
    scale: impl Fn(Layout) -> Layout,
) -> Option<String> {
    let line = |curve: Points<'a>| {
        let style = if curve.dashed { LineStyle::Dashed } else { LineStyle::Solid };
        let line = LinePlot::new()
            .with_data(curve.points)
            .with_color(format!("var(--c{})", curve.colour % COLOURS))
            .with_line_style(style)
            .with_stroke_width(2.0)
            .with_legend(curve.label);
        Plot::from(line)
    };
    let plots: Vec<Plot> = curves.filter(|curve| !curve.points.is_empty()).map(line).collect();
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
    let layout = scale(Layout::auto_from_plots(&plots))
        .with_x_label(across)
        .with_y_label(upwards)
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
