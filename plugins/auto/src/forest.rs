//! A random forest: fitted by smartcore, kept and evaluated in a form of our own.
//!
//! smartcore's files change from release to release, and its forest tells neither votes nor paths.
//! So a fitted forest is taken over node by node, checked against smartcore's own predictions on all
//! training systems, and stored as plain lists.
//!
//! A tree goes left where feature ≤ value. Each tree has one vote; of equal counts the first class
//! wins. Cost: some ten comparisons a tree.
//!
//! Reference: L. Breiman, *Random Forests*, Machine Learning 45 (2001).
use crate::features::{Features, NAMES};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{self, Value};
use smartcore::ensemble::random_forest_classifier::{
    RandomForestClassifier, RandomForestClassifierParameters,
};
use smartcore::linalg::basic::matrix::DenseMatrix;

/// Features, drawn anew at each node, that a split is sought in. smartcore makes a leaf of a node where
/// none of them splits, so the usual square root of their number ends trees too early.
const TRIED: usize = NAMES.len() / 2;

/// A node of a tree; children stand behind their parents.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(crate = "precondor_sdk::serde", rename_all = "lowercase")]
pub enum Node {
    /// The class that is voted for.
    Leaf(usize),
    /// Feature, value, the node where feature ≤ value, the node else.
    Split(usize, f32, usize, usize),
}

/// Trees; each starts at its first node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(crate = "precondor_sdk::serde", transparent)]
pub struct Forest {
    trees: Vec<Vec<Node>>,
}

/// How a forest is grown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Growth {
    /// Trees.
    pub trees: u16,
    /// Most decisions on a path.
    pub depth: u16,
    /// Fewest training systems at a leaf.
    pub leaf: usize,
    /// Seed of the samples and features that each tree sees.
    pub seed: u64,
}

/// What a forest says about one matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Votes {
    /// Votes for each class.
    pub counts: Vec<usize>,
    /// How many decisions of the trees that voted for the winner rest on each feature.
    pub deciders: Vec<usize>,
}

impl Votes {
    /// Classes by votes, most first; of equal counts the first class.
    pub fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.counts.len()).collect();
        order.sort_by_key(|&class| std::cmp::Reverse(self.counts[class]));
        order
    }
}

/// The greatest number in single precision that is not greater than `value`: it parts features in
/// single precision in the same way.
fn below(value: f64) -> f32 {
    let near = value as f32;
    if f64::from(near) > value { near.next_down() } else { near }
}

impl Forest {
    /// Grows a forest on features and classes 0, 1, … and says, for each system, what the trees that
    /// did not see it vote for.
    ///
    /// # Errors
    /// [`Error::Data`] where there is nothing to fit, or what smartcore fitted is not understood.
    pub fn fit(systems: &[Features], classes: &[u32], how: Growth) -> Result<(Self, Vec<usize>)> {
        let fail = |why: String| Error::Data(format!("the forest cannot be fitted: {why}"));
        // smartcore refuses a single class; one leaf says all there is to say.
        if let Some(&only) = classes.first()
            && classes.iter().all(|class| *class == only)
        {
            let forest = Forest { trees: vec![vec![Node::Leaf(only as usize)]] };
            return Ok((forest, vec![only as usize; classes.len()]));
        }
        let rows: Vec<Vec<f64>> =
            systems.iter().map(|f| f.values().map(f64::from).to_vec()).collect();
        let x = DenseMatrix::from_2d_vec(&rows).map_err(|e| fail(e.to_string()))?;
        let parameters = RandomForestClassifierParameters::default()
            .with_n_trees(how.trees)
            .with_max_depth(how.depth)
            .with_min_samples_leaf(how.leaf)
            .with_m(TRIED)
            .with_keep_samples(true)
            .with_seed(how.seed);
        let y = classes.to_vec();
        let fitted = RandomForestClassifier::fit(&x, &y, parameters);
        let fitted = fitted.map_err(|e| fail(e.to_string()))?;
        let plain = serde_json::to_value(&fitted).map_err(|e| fail(e.to_string()))?;
        let forest = Self::taken_over(&plain).ok_or_else(|| {
            fail("smartcore's forest has another form than that of version 0.7".into())
        })?;
        let theirs = fitted.predict(&x).map_err(|e| fail(e.to_string()))?;
        for (k, (features, theirs)) in systems.iter().zip(theirs).enumerate() {
            let ours = forest.votes(features, classes.len()).order()[0];
            if ours != theirs as usize {
                let why = format!("system {k}: class {ours} as taken over, {theirs} by smartcore");
                return Err(fail(why));
            }
        }
        let unseen = fitted.predict_oob(&x).map_err(|e| fail(e.to_string()))?;
        Ok((forest, unseen.into_iter().map(|class| class as usize).collect()))
    }

    /// Out of smartcore's own form; `None` where that is another one.
    fn taken_over(fitted: &Value) -> Option<Self> {
        let number = |value: &Value| value.as_u64().map(|n| n as usize);
        let classes: Option<Vec<usize>> =
            fitted["classes"].as_array()?.iter().map(number).collect();
        let classes = classes?;
        let node = |node: &Value| {
            Some(match number(&node["true_child"]) {
                None => Node::Leaf(*classes.get(number(&node["output"])?)?),
                Some(yes) => {
                    let (at, no) =
                        (below(node["split_value"].as_f64()?), number(&node["false_child"])?);
                    Node::Split(number(&node["split_feature"])?, at, yes, no)
                }
            })
        };
        let tree = |tree: &Value| tree["nodes"].as_array()?.iter().map(node).collect();
        let trees: Option<Vec<Vec<Node>>> = fitted["trees"].as_array()?.iter().map(tree).collect();
        Some(Forest { trees: trees? })
    }

    /// Makes sure that every path ends at a leaf of one of `classes` classes.
    ///
    /// # Errors
    /// [`Error::Data`] naming the tree and the node that does not fit.
    pub fn check(&self, classes: usize) -> Result<()> {
        let bad = |tree: usize, node: usize, why: &str| {
            Err(Error::Data(format!("not a usable model: tree {tree}, node {node}: {why}")))
        };
        if self.trees.is_empty() {
            return Err(Error::Data("not a usable model: the forest has no trees".into()));
        }
        for (t, tree) in self.trees.iter().enumerate() {
            if tree.is_empty() {
                return bad(t, 0, "is missing");
            }
            for (k, node) in tree.iter().enumerate() {
                match *node {
                    Node::Leaf(class) if class >= classes => return bad(t, k, "no such class"),
                    Node::Leaf(_) => {}
                    Node::Split(feature, at, yes, no) => {
                        if feature >= NAMES.len() || !at.is_finite() {
                            return bad(t, k, "no such feature or value");
                        }
                        // Behind the parent: no path goes round in circles.
                        if yes <= k || no <= k || yes >= tree.len() || no >= tree.len() {
                            return bad(t, k, "its children do not stand behind it");
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Trees.
    pub fn len(&self) -> usize {
        self.trees.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.trees.is_empty()
    }

    /// Bytes of the nodes.
    pub fn bytes(&self) -> usize {
        self.trees.iter().map(|tree| size_of_val(&tree[..])).sum()
    }

    /// What the trees say; they were checked for `classes` classes.
    pub fn votes(&self, features: &Features, classes: usize) -> Votes {
        let mut counts = vec![0; classes];
        let mut uses = vec![[0; NAMES.len()]; classes];
        for tree in &self.trees {
            let (mut at, mut path) = (0, Vec::new());
            let class = loop {
                match tree[at] {
                    Node::Leaf(class) => break class,
                    Node::Split(feature, value, yes, no) => {
                        path.push(feature);
                        at = if features.values()[feature] <= value { yes } else { no };
                    }
                }
            };
            counts[class] += 1;
            path.into_iter().for_each(|feature| uses[class][feature] += 1);
        }
        let mut votes = Votes { counts, deciders: vec![] };
        votes.deciders = uses[votes.order()[0]].to_vec();
        votes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(first: f32, second: f32) -> Features {
        let mut values = [0.0; NAMES.len()];
        (values[0], values[1]) = (first, second);
        Features::checked(values).expect("finite")
    }

    const GROWTH: Growth = Growth { trees: 20, depth: 6, leaf: 1, seed: 3 };

    #[test]
    fn a_forest_learns_two_thresholds_and_repeats_itself() {
        let place = |k: usize| (f32::from(k as u8 % 20), f32::from(k as u8 / 20));
        let class = |(x, y): (f32, f32)| u32::from(x > 9.5) + u32::from(x > 9.5 && y > 4.5);
        let places: Vec<(f32, f32)> = (0..200).map(place).collect();
        let systems: Vec<Features> = places.iter().map(|&(x, y)| features(x, y)).collect();
        let classes: Vec<u32> = places.iter().map(|&p| class(p)).collect();
        let (forest, unseen) = Forest::fit(&systems, &classes, GROWTH).expect("fitted");
        forest.check(3).expect("sound");
        let (again, _) = Forest::fit(&systems, &classes, GROWTH).expect("fitted");
        assert_eq!(forest, again);
        let other = Growth { seed: 4, ..GROWTH };
        assert_ne!(Forest::fit(&systems, &classes, other).expect("fitted").0, forest);
        let right = |guesses: &[usize]| {
            guesses.iter().zip(&classes).filter(|(a, b)| **a == **b as usize).count()
        };
        // Most trees see neither of the two features at their first node: the rest of them is constant.
        assert!(right(&unseen) > 150, "{}", right(&unseen));
        // New places, each decided by the features that make the difference.
        for (x, y) in [(3.2, 7.7), (15.5, 1.1), (15.5, 8.2)] {
            let votes = forest.votes(&features(x, y), 3);
            assert_eq!(votes.order()[0], class((x, y)) as usize);
            assert_eq!(votes.counts.iter().sum::<usize>(), 20);
            assert!(votes.deciders[2..].iter().all(|uses| *uses == 0), "{votes:?}");
        }
        let text = serde_json::to_string(&forest).expect("plain");
        assert_eq!(serde_json::from_str::<Forest>(&text).expect("the same"), forest);
    }

    #[test]
    fn values_in_single_precision_part_features_in_the_same_way() {
        for (low, high) in [(1.0f32, 1.0f32.next_up()), (-0.3, -0.3f32.next_up()), (0.1, 7.0)] {
            let at = below((f64::from(low) + f64::from(high)) / 2.0);
            assert!(low <= at && high > at, "{low} {at} {high}");
        }
    }

    #[test]
    fn where_one_class_is_always_right_one_leaf_says_so() {
        let systems = [features(1.0, 2.0), features(3.0, 4.0)];
        let (forest, unseen) = Forest::fit(&systems, &[2, 2], GROWTH).expect("fitted");
        assert_eq!((forest.len(), unseen), (1, vec![2, 2]));
        assert_eq!(forest.votes(&features(9.0, 9.0), 3).counts, [0, 0, 1]);
        assert!(Forest::fit(&[], &[], GROWTH).is_err());
    }

    #[test]
    fn damaged_trees_are_refused() {
        let why =
            |trees: Vec<Vec<Node>>| Forest { trees }.check(2).expect_err("damaged").to_string();
        assert!(why(vec![]).contains("no trees"));
        assert!(why(vec![vec![]]).contains("tree 0, node 0: is missing"));
        assert!(why(vec![vec![Node::Leaf(2)]]).contains("no such class"));
        let split = |feature, at, yes, no| {
            vec![vec![Node::Split(feature, at, yes, no), Node::Leaf(0), Node::Leaf(1)]]
        };
        assert!(why(split(NAMES.len(), 0.0, 1, 2)).contains("no such feature"));
        assert!(why(split(0, f32::NAN, 1, 2)).contains("no such feature or value"));
        for (yes, no) in [(0, 2), (1, 3), (1, 0)] {
            assert!(why(split(0, 0.0, yes, no)).contains("children do not stand behind it"));
        }
        assert!(Forest { trees: split(0, 0.0, 1, 2) }.check(2).is_ok());
        assert!(Forest::taken_over(&serde_json::json!({"trees": 3})).is_none());
    }
}
