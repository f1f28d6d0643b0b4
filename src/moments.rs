//! Running mean and variance: Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample
//! Variances", 1979. Those of two streams merge into those of both.

/// Of the numbers seen so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Moments {
    /// How many.
    pub count: f64,
    /// Their mean.
    pub mean: f64,
    /// Their variance.
    pub variance: f64,
}

impl Moments {
    /// Of some numbers.
    pub fn of(numbers: impl Iterator<Item = f64> + Clone) -> Self {
        let (count, sum) = numbers.clone().fold((0.0, 0.0), |(count, sum), x| (count + 1.0, sum + x));
        if count == 0.0 {
            return Self::default();
        }
        let mean = sum / count;
        let variance = numbers.map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
        Self { count, mean, variance }
    }

    /// Takes in those of other numbers.
    pub fn merge(&mut self, other: &Self) {
        let total = self.count + other.count;
        if total == 0.0 {
            return;
        }
        let shift = other.mean - self.mean;
        let spread = self.variance * self.count
            + other.variance * other.count
            + shift * shift * self.count * other.count / total;
        self.mean += shift * other.count / total;
        self.variance = spread / total;
        self.count = total;
    }

    /// The standard deviation, 1 as long as nothing has varied.
    pub fn std(&self) -> f64 {
        if self.variance > 0.0 { self.variance.sqrt() } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::Moments;

    #[test]
    fn parts_merge_into_the_whole() {
        let numbers: Vec<f64> = (0..1000).map(|i| f64::from(i * 7919 % 1000).sqrt() + 1e3).collect();
        let whole = Moments::of(numbers.iter().copied());
        let mut merged = Moments::default();
        for part in numbers.chunks(77) {
            merged.merge(&Moments::of(part.iter().copied()));
        }
        assert_eq!(merged.count, whole.count);
        assert!((merged.mean - whole.mean).abs() < 1e-9);
        assert!((merged.variance - whole.variance).abs() < 1e-7);
        merged.merge(&Moments::default());
        assert_eq!(merged.count, whole.count);
    }
}
