//! `vecmarket.clear`: offers in, prices and dispatch out.

use std::cell::RefCell;
use std::sync::Mutex;

use numpy::{
    IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods,
};
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt};

use super::{detached, extract};
use crate::error::{Error, Result};
use crate::market::Scratch;
use crate::market::batch::{Markets, Outcomes};
use crate::pool::Pool;
use crate::scenario::Rules;
use crate::simd::Simd;
use crate::spec::{LARGEST, Number, usable};

/// Offers below this many are not worth threads: to start two and end them takes some 150 us, in which half as many are
/// cleared by one.
const WORTH_THREADS: usize = 1 << 18;

/// Offers above this many hide the cost of a call.
const MOST_PLAIN: usize = 1024;

/// Price floor and cap, $/MWh.
type Bounds = (f64, f64);
type ClearedOne<'py> = (f64, Bound<'py, PyArray1<f64>>, f64, f64, i64);
type Cleared<'py> = (
    Bound<'py, PyArray1<f64>>,
    Bound<'py, PyArray2<f64>>,
    Bound<'py, PyArray1<f64>>,
    Bound<'py, PyArray1<f64>>,
    Bound<'py, PyArray1<i64>>,
);

/// Clears N markets of G offers each; arrays are float64 and C-contiguous, (N, G), (N, G) and (N,).
#[pyfunction]
pub fn clear<'py>(
    py: Python<'py>,
    prices: PyReadonlyArray2<'py, f64>,
    quantities: PyReadonlyArray2<'py, f64>,
    demand: PyReadonlyArray1<'py, f64>,
    rules: &Bound<'py, PyAny>,
    seed: &Bound<'py, PyAny>,
    threads: &Bound<'py, PyAny>,
) -> PyResult<Cleared<'py>> {
    let (rows, offers) = (prices.shape()[0], prices.shape()[1]);
    if offers == 0 {
        return Err(Error::value("prices", "must hold at least one offer").into());
    }
    if quantities.shape() != prices.shape() {
        let reason = format!("must have the shape of prices, {:?}, got {:?}", prices.shape(), quantities.shape());
        return Err(Error::value("quantities", reason).into());
    }
    if demand.shape()[0] != rows {
        return Err(Error::value("demand", format!("must have {rows} entries, got {}", demand.shape()[0])).into());
    }
    let (compiled, bounds) = compiled(rules)?;
    let seed = extract::seed(seed, "seed")?;
    let pool = Pool::new(extract::integer(threads, "threads")?)?;
    let contiguous = |name: &str| Error::wrong_type(name, "must be C-contiguous");
    let job = Job {
        markets: Markets {
            rules: compiled,
            bounds,
            seed,
            offers,
            prices: prices.as_slice().map_err(|_| contiguous("prices"))?,
            quantities: quantities.as_slice().map_err(|_| contiguous("quantities"))?,
            demand: demand.as_slice().map_err(|_| contiguous("demand"))?,
        },
        single: false,
    };
    let simd = Simd::get()?;
    let (mut price, mut dispatch) = (vec![0.0; rows], vec![0.0; rows * offers]);
    let (mut unserved, mut curtailed, mut marginal) = (vec![0.0; rows], vec![0.0; rows], vec![0; rows]);
    let outcomes = Outcomes {
        price: &mut price,
        dispatch: &mut dispatch,
        unserved: &mut unserved,
        curtailed: &mut curtailed,
        marginal: &mut marginal,
    };
    detached(py, || job.clear_all(simd, &pool, outcomes))?;
    Ok((
        price.into_pyarray(py),
        dispatch.into_pyarray(py).reshape([rows, offers])?,
        unserved.into_pyarray(py),
        curtailed.into_pyarray(py),
        marginal.into_pyarray(py),
    ))
}

/// Clears one market, without the arrays that a batch needs: (G,), (G,) and a number.
///
/// Returns price, dispatch, unserved and curtailed energy, and the marginal unit.
#[pyfunction]
pub fn clear_one<'py>(
    py: Python<'py>,
    prices: PyReadonlyArray1<'py, f64>,
    quantities: PyReadonlyArray1<'py, f64>,
    demand: f64,
    rules: &Bound<'py, PyAny>,
    seed: &Bound<'py, PyAny>,
    threads: &Bound<'py, PyAny>,
) -> PyResult<ClearedOne<'py>> {
    let contiguous = |name: &str| Error::wrong_type(name, "must be C-contiguous");
    let (rules, bounds) = compiled(rules)?;
    // One market needs no threads, but a bad number is refused as for many.
    Pool::new(extract::integer(threads, "threads")?)?;
    let markets = Markets {
        rules,
        bounds,
        seed: extract::seed(seed, "seed")?,
        offers: prices.len(),
        prices: prices.as_slice().map_err(|_| contiguous("prices"))?,
        quantities: quantities.as_slice().map_err(|_| contiguous("quantities"))?,
        demand: &[demand],
    };
    if markets.offers == 0 || markets.offers != markets.quantities.len() {
        let reason = format!("must have the length of prices, {}, got {}", markets.offers, markets.quantities.len());
        return Err(Error::value("quantities", reason).into());
    }
    Job { markets, single: true }.check()?;
    let dispatch = PyArray1::zeros(py, markets.offers, false);
    let mut writer = dispatch.readwrite();
    let outcome = markets.clear_row(0, &mut Scratch::default(), writer.as_slice_mut()?);
    drop(writer);
    let marginal = outcome.marginal.map_or(-1, |unit| unit as i64);
    Ok((outcome.price, dispatch, outcome.unserved, outcome.curtailed, marginal))
}

/// Clears one market as `clear_one` does if its arguments are what they mostly are; None for all others.
///
/// Those are exact float64 arrays (G,), C-contiguous, a float, an int and one thread, all of them good. A caller who gets
/// None goes the long way, which converts what can be converted and names what is bad.
#[pyfunction]
pub fn clear_plain<'py>(
    py: Python<'py>,
    prices: &Bound<'py, PyAny>,
    quantities: &Bound<'py, PyAny>,
    demand: &Bound<'py, PyAny>,
    rules: &Bound<'py, PyAny>,
    seed: &Bound<'py, PyAny>,
    threads: &Bound<'py, PyAny>,
) -> Option<ClearedOne<'py>> {
    thread_local! {
        static MEMORY: RefCell<(Scratch, [f64; MOST_PLAIN])> = RefCell::new((Scratch::default(), [0.0; MOST_PLAIN]));
    }
    let prices = prices.cast_exact::<PyArray1<f64>>().ok()?;
    let quantities = quantities.cast_exact::<PyArray1<f64>>().ok()?;
    let offers = prices.len();
    let fits = (1..=MOST_PLAIN).contains(&offers) && quantities.len() == offers;
    if !fits || threads.cast_exact::<PyInt>().ok()?.extract::<i64>().ok()? != 1 {
        return None;
    }
    let (rules, bounds) = compiled(rules).ok()?;
    let markets = Markets {
        rules,
        bounds,
        seed: seed.cast_exact::<PyInt>().ok()?.extract().ok()?,
        offers,
        // Copies: a guard on each array would take longer than the clearing of a few offers.
        prices: &prices.to_vec().ok()?,
        quantities: &quantities.to_vec().ok()?,
        demand: &[demand.cast_exact::<PyFloat>().ok()?.value()],
    };
    if !(Job { markets, single: true }).is_sound() {
        return None;
    }
    MEMORY.with(|memory| {
        // Whatever making an array may call, it finds the memory taken at worst, and goes the long way.
        let mut memory = memory.try_borrow_mut().ok()?;
        let (scratch, dispatch) = &mut *memory;
        let dispatch = &mut dispatch[..offers];
        let outcome = markets.clear_row(0, scratch, dispatch);
        let marginal = outcome.marginal.map_or(-1, |unit| unit as i64);
        Some((outcome.price, PyArray1::from_slice(py, dispatch), outcome.unserved, outcome.curtailed, marginal))
    })
}

/// The rules as the kernels use them, and floor and cap.
///
/// `MarketRules` are frozen, so the last ones are kept: reading six fields by name would cost more than a clearing.
fn compiled(rules: &Bound<'_, PyAny>) -> PyResult<(Rules, Bounds)> {
    static LAST: Mutex<Option<(Py<PyAny>, Rules, Bounds)>> = Mutex::new(None);
    if let Ok(last) = LAST.try_lock()
        && let Some((object, compiled, bounds)) = last.as_ref()
        && object.is(rules)
    {
        return Ok((*compiled, *bounds));
    }
    let spec = extract::rules(rules)?;
    let compiled = spec.compile()?;
    let bound = |number: &Option<Number>, path: &str, none: f64| match number {
        None => Ok(none),
        Some(Number::Fixed(x)) => Ok(*x),
        Some(_) => Err(Error::wrong_type(path, "must be a plain number here, got a distribution")),
    };
    let floor = bound(&spec.price_floor, "rules.price_floor", f64::NEG_INFINITY)?;
    let cap = bound(&spec.price_cap, "rules.price_cap", f64::INFINITY)?;
    let frozen = rules.getattr("__dataclass_params__").and_then(|p| p.getattr("frozen")).and_then(|f| f.is_truthy());
    if let (Ok(true), Ok(mut last)) = (frozen, LAST.try_lock()) {
        *last = Some((rules.clone().unbind(), compiled, (floor, cap)));
    }
    Ok((compiled, (floor, cap)))
}

struct Job<'a> {
    markets: Markets<'a>,
    /// One market without a leading dimension, for the places in messages.
    single: bool,
}

impl Job<'_> {
    /// Clears all markets, on threads where that is worth it.
    fn clear_all(&self, simd: Simd, pool: &Pool, outcomes: Outcomes<'_>) -> Result<()> {
        let Markets { offers, prices, demand, .. } = self.markets;
        let sound = if pool.threads() == 1 || prices.len() < WORTH_THREADS {
            self.markets.clear(simd, 0, outcomes)
        } else {
            let piece = demand.len().div_ceil(4 * pool.threads()).max(WORTH_THREADS / (4 * offers));
            pool.run(|| self.markets.spread(simd, 0, outcomes, piece))?
        };
        if sound { Ok(()) } else { self.check() }
    }

    fn check(&self) -> Result<()> {
        if self.is_sound() {
            return Ok(());
        }
        let place = |name: &str, i: usize| {
            if self.single {
                format!("{name}[{i}]")
            } else {
                format!("{name}[{}, {}]", i / self.markets.offers, i % self.markets.offers)
            }
        };
        if let Some(i) = self.markets.demand.iter().position(|&x| usable("", x).is_err()) {
            let place = if self.single { "demand".to_owned() } else { format!("demand[{i}]") };
            return usable(&place, self.markets.demand[i]);
        }
        for (i, x) in self.markets.quantities.iter().enumerate() {
            if !is_quantity(*x) {
                let reason = format!("must be finite, >= 0 and <= {LARGEST:e}, got {x}");
                return Err(Error::value(place("quantities", i), reason));
            }
        }
        let (floor, cap) = self.markets.bounds;
        for (i, x) in self.markets.prices.iter().enumerate() {
            if !is_number(*x) {
                return usable(&place("prices", i), *x);
            }
            if *x < floor || *x > cap {
                let reason = format!("must lie within floor and cap, [{floor}, {cap}], got {x}");
                return Err(Error::value(place("prices", i), reason));
            }
        }
        Ok(())
    }

    /// Whether every number can be used: all of them without a branch, since hardly ever one is bad.
    fn is_sound(&self) -> bool {
        let (floor, cap) = self.markets.bounds;
        let demand = self.markets.demand.iter().fold(true, |sound, x| sound & is_number(*x));
        let quantities = self.markets.quantities.iter().fold(true, |sound, x| sound & is_quantity(*x));
        let prices =
            self.markets.prices.iter().fold(true, |sound, x| sound & is_number(*x) & (*x >= floor) & (*x <= cap));
        demand & quantities & prices
    }
}

/// Whether a number is finite and of a size that sums can carry, as [`usable`] says.
fn is_number(x: f64) -> bool {
    x.abs() <= LARGEST
}

fn is_quantity(x: f64) -> bool {
    (0.0..=LARGEST).contains(&x)
}
