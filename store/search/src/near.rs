//! Distances on earth.

/// The mean radius of the earth in metres.
const RADIUS_M: f64 = 6_371_008.8;

/// The distance in metres of two places, each in degrees north and east, on a sphere.
pub(crate) fn distance_m(a: (f64, f64), b: (f64, f64)) -> f64 {
    let (north, east) = ((b.0 - a.0).to_radians() / 2.0, (b.1 - a.1).to_radians() / 2.0);
    let chord = north.sin().powi(2) + a.0.to_radians().cos() * b.0.to_radians().cos() * east.sin().powi(2);
    2.0 * RADIUS_M * chord.sqrt().min(1.0).asin()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_distances_are_right() {
        let (berlin, paris) = ((52.52, 13.405), (48.8566, 2.3522));
        assert!((distance_m(berlin, paris) - 877_500.0).abs() < 1_000.0);
        assert_eq!(distance_m(berlin, berlin), 0.0);
        assert!((distance_m((0.0, 179.5), (0.0, -179.5)) - 111_195.0).abs() < 10.0);
    }
}
