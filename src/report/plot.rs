//! Pictures: convergence curves and spy plots as SVG. The only file that knows the plotting crate.
//!
//! Colours of a curve are the style-sheet variables `--c0` to `--c9` of the page, lines and letters
//! take its text colour: a picture follows the page from light to dark. No two of [`CURVES`] curves are alike, also without
//! colours: each has dashes and markers of its own. Markers tell their values where a pointer rests on them.
use super::format::number;
use super::page::esc;
use kuva::plot::scatter::MarkerShape;
use kuva::prelude::{Layout, LinePlot, LineStyle, Plot, ScatterPlot, Theme, render_to_svg};

/// Colours that the page has to define.
pub const COLOURS: usize = 10;
/// Curves that are all different.
pub const CURVES: usize = MARKERS.len() * DASHES;

/// Markers, and the letters that stand for them in the key.
const MARKERS: [(MarkerShape, char); 8] = [
    (MarkerShape::Circle, '●'),
    (MarkerShape::Square, '■'),
    (MarkerShape::Triangle, '▲'),
    (MarkerShape::Diamond, '◆'),
    (MarkerShape::TriangleDown, '▼'),
    (MarkerShape::Cross, '×'),
    (MarkerShape::Plus, '+'),
    (MarkerShape::Star, '★'),
];
/// Kinds of lines.
const DASHES: usize = 3;
/// Points of a cloud, at most.
const CLOUD: usize = 400;
/// Markers on a curve, at most.
const MARKED: usize = 9;

/// The look of a curve by its number.
fn look(number: usize) -> (String, LineStyle, MarkerShape, char) {
    let style = match number / MARKERS.len() % DASHES {
        0 => LineStyle::Solid,
        1 => LineStyle::Custom("9 4".into()),
        _ => LineStyle::Custom("2 4".into()),
    };
    let (marker, letter) = MARKERS[number % MARKERS.len()];
    (format!("var(--c{})", number % COLOURS), style, marker, letter)
}

/// A curve: the stopping measure, iteration by iteration.
pub struct Curve<'a> {
    /// What the key calls it.
    pub label: &'a str,
    /// Its number, which its look follows from.
    pub colour: usize,
    /// The measure before the first and after every iteration.
    pub history: &'a [f64],
}

/// A curve through points.
pub struct Points<'a> {
    /// What the key calls it.
    pub label: &'a str,
    /// Its number, which its look follows from.
    pub colour: usize,
    /// The points, from left to right.
    pub points: Vec<(f64, f64)>,
}

/// Curves over iterations, both axes logarithmic; iteration 0 is left out. `None` where there is
/// nothing to draw.
pub fn convergence(curves: &[Curve<'_>], measure: &str) -> Option<String> {
    let curves = curves.iter().map(|curve| Points {
        label: curve.label,
        colour: curve.colour,
        points: iterations(curve.history),
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

/// Points that no lines join, both axes logarithmic, 400 of each at most. `None` where there is nothing to draw.
pub fn cloud(clouds: &[Points<'_>], axes: [&str; 2]) -> Option<String> {
    let positive = |p: &(f64, f64)| p.0 > 0.0 && p.1 > 0.0 && p.1.is_finite();
    let clouds = clouds.iter().map(|cloud| {
        let points: Vec<_> = cloud.points.iter().copied().filter(positive).collect();
        let every = points.len().div_ceil(CLOUD).max(1);
        Points { points: points.into_iter().step_by(every).collect(), ..*cloud }
    });
    let scattered = |cloud: &Points<'_>| {
        let (colour, _, marker, _) = look(cloud.colour);
        let data = cloud.points.iter().copied();
        vec![Plot::from(
            ScatterPlot::new()
                .with_data(data)
                .with_color(colour)
                .with_marker(marker)
                .with_size(2.5),
        )]
    };
    draw_as(clouds, axes, Layout::with_log_scale, scattered)
}

/// Steps of shares from 0 to 1 over a logarithmic axis. `None` where there is nothing to draw.
pub fn shares(curves: &[Points<'_>], axes: [&str; 2]) -> Option<String> {
    let curves = curves.iter().map(|curve| Points { points: curve.points.clone(), ..*curve });
    draw(curves, axes, |layout| layout.with_log_x().with_y_axis_min(0.0).with_y_axis_max(1.0))
}

fn draw<'a>(
    curves: impl Iterator<Item = Points<'a>>,
    axes: [&str; 2],
    scale: impl Fn(Layout) -> Layout,
) -> Option<String> {
    draw_as(curves, axes, scale, |curve| drawn(curve).into())
}

fn draw_as<'a>(
    curves: impl Iterator<Item = Points<'a>>,
    [across, upwards]: [&str; 2],
    scale: impl Fn(Layout) -> Layout,
    drawn: impl Fn(&Points<'a>) -> Vec<Plot>,
) -> Option<String> {
    let curves: Vec<Points<'a>> = curves.filter(|curve| !curve.points.is_empty()).collect();
    if curves.is_empty() {
        return None;
    }
    let plots: Vec<Plot> = curves.iter().flat_map(drawn).collect();
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
        .with_width(460.0)
        .with_height(320.0)
        .with_x_label(across)
        .with_y_label(upwards)
        .with_theme(theme);
    Some(scalable(&render_to_svg(plots, layout)) + &key(&curves))
}

/// What stands for which curve: a list of the page's own letters, which do not shrink with the picture.
fn key(curves: &[Points<'_>]) -> String {
    let item = |curve: &Points<'_>| {
        let (colour, _, _, letter) = look(curve.colour);
        let line = ["solid", "dashed", "dotted"][curve.colour / MARKERS.len() % DASHES];
        format!(
            "<li><i aria-hidden=\"true\" style=\"border-top:2px {line} {colour}\"></i>\
             <b aria-hidden=\"true\" style=\"color:{colour}\">{letter}</b> {}</li>\n",
            esc(curve.label)
        )
    };
    format!("\n<ul class=\"key\">\n{}</ul>", curves.iter().map(item).collect::<String>())
}

/// A line, and markers on it that tell their values.
fn drawn(curve: &Points<'_>) -> [Plot; 2] {
    let (colour, style, marker, _) = look(curve.colour);
    let line = LinePlot::new()
        .with_data(curve.points.iter().copied())
        .with_color(colour.clone())
        .with_line_style(style)
        .with_stroke_width(2.0);
    let marked = marked(&curve.points);
    let place = |x: f64| if x.fract() == 0.0 && x < 1e15 { format!("{x}") } else { number(x) };
    let told =
        marked.iter().map(|(x, y)| format!("{}: {}, {}", curve.label, place(*x), number(*y)));
    let told: Vec<String> = told.collect();
    let markers = ScatterPlot::new()
        .with_data(marked)
        .with_color(colour)
        .with_marker(marker)
        .with_size(3.5)
        .with_tooltip_labels(told);
    [Plot::from(line), Plot::from(markers)]
}

/// Some of the points, evenly by their number, both ends among them.
fn marked(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let last = points.len().saturating_sub(1);
    let mut places: Vec<usize> = (0..MARKED).map(|k| k * last / (MARKED - 1)).collect();
    places.dedup();
    places.into_iter().filter_map(|place| points.get(place).copied()).collect()
}

/// `(iteration, measure)` from iteration 1 on; values that a logarithm cannot show are left out.
fn iterations(history: &[f64]) -> Vec<(f64, f64)> {
    let points = history.iter().enumerate().skip(1).map(|(k, &measure)| (k as f64, measure));
    thinned(points.filter(|(_, measure)| *measure > 0.0 && measure.is_finite()).collect())
}

/// As many of the points as the eye can tell apart on a logarithmic axis, the last among them.
pub fn thinned(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let (mut next, last) = (f64::NEG_INFINITY, points.len().saturating_sub(1));
    let wanted = points.into_iter().enumerate().filter(|(k, (x, _))| {
        let wanted = *x >= next || *k == last;
        if wanted {
            next = x * 1.01;
        }
        wanted
    });
    wanted.map(|(_, point)| point).collect()
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
        let points = iterations(&history);
        assert!(points.len() < 1200, "{}", points.len());
        assert_eq!(points[0].0, 1.0);
        assert_eq!(points.last().map(|p| p.0), Some(99_999.0));
        assert!(iterations(&[1.0, 0.0, f64::NAN, f64::INFINITY, -1.0]).is_empty());
    }

    #[test]
    fn a_picture_escapes_labels_and_takes_its_colours_from_the_page() {
        let curve = Curve { label: "<b>&", colour: 11, history: &[1.0, 0.1, 1e-9] };
        let svg = convergence(&[curve], "residual").unwrap();
        assert!(svg.contains("&lt;b&gt;&amp;") && !svg.contains("<b>"));
        assert!(
            svg.contains("var(--c1)")
                && svg.contains("viewBox=")
                && !svg.contains("fill=\"black\"")
        );
        assert!(svg.contains("1e-9"), "{svg}");
        assert!(convergence(&[], "residual").is_none());
        // Values are told where a pointer rests.
        assert!(svg.contains("<title>&lt;b&gt;&amp;: 2, 1.00e-9</title>"), "{svg}");
    }

    #[test]
    fn no_two_curves_are_alike_with_colours_and_without() {
        let looks = (0..CURVES).map(look);
        let plain: std::collections::BTreeSet<_> =
            looks.map(|(_, style, _, letter)| (style.dasharray(), letter)).collect();
        assert_eq!((plain.len(), CURVES), (24, 24));
    }

    #[test]
    fn markers_stand_at_both_ends() {
        let points: Vec<(f64, f64)> = (0..100).map(|k| (f64::from(k), 1.0)).collect();
        let marked = marked(&points);
        assert_eq!((marked.len(), marked[0].0, marked[8].0), (9, 0.0, 99.0));
        assert_eq!(super::marked(&points[..2]).len(), 2);
        assert!(super::marked(&[]).is_empty());
    }
}
