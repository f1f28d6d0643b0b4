//! Philox against its published test vectors, and the normal quantile against its defining property.

use vecmarket::rng::{Kind, Streams, inverse_normal_cdf, philox4x32_10};

/// Known answers of the Random123 distribution for philox4x32 with 10 rounds.
#[test]
fn philox_gives_the_known_answers() {
    assert_eq!(philox4x32_10([0, 0], [0; 4]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
    assert_eq!(philox4x32_10([u32::MAX; 2], [u32::MAX; 4]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
    assert_eq!(
        philox4x32_10([0xa409_3822, 0x299f_31d0], [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344]),
        [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
    );
}

#[test]
fn the_normal_quantile_inverts_the_distribution() {
    for i in 1..10_000 {
        let p = f64::from(i) / 10_000.0;
        let back = 0.5 * libm::erfc(-inverse_normal_cdf(p) / std::f64::consts::SQRT_2);
        assert!((back - p).abs() < 1e-15, "{p} came back as {back}");
    }
    for p in [1e-300, 1e-100, 1e-20, 1e-9] {
        let back = 0.5 * libm::erfc(-inverse_normal_cdf(p) / std::f64::consts::SQRT_2);
        assert!((back / p - 1.0).abs() < 1e-12, "{p} came back as {back}");
    }
}

#[test]
fn draws_differ_in_every_coordinate() {
    let here = Streams::new(1, 2).words(3, Kind::DemandNoise, 4);
    assert_ne!(here, Streams::new(2, 2).words(3, Kind::DemandNoise, 4));
    assert_ne!(here, Streams::new(1, 3).words(3, Kind::DemandNoise, 4));
    assert_ne!(here, Streams::new(1, 2).words(4, Kind::DemandNoise, 4));
    assert_ne!(here, Streams::new(1, 2).words(3, Kind::Ties, 4));
    assert_ne!(here, Streams::new(1, 2).words(3, Kind::DemandNoise, 5));
    assert_eq!(here, Streams::new(1, 2).words(3, Kind::DemandNoise, 4));
}

#[test]
fn uniforms_stay_inside_the_open_interval() {
    let streams = Streams::new(7, 0);
    let draws: Vec<f64> = (0..100_000).map(|step| streams.uniform(step, Kind::Start, 0)).collect();
    assert!(draws.iter().all(|&u| u > 0.0 && u < 1.0));
    let mean = draws.iter().sum::<f64>() / draws.len() as f64;
    assert!((mean - 0.5).abs() < 0.005, "{mean}");
    assert!((0..1000).all(|step| streams.below(3, step, Kind::Start, 1) < 3));
}
