//! The addresses of sessions, as Kratos stores them.

use rstest::rstest;

use crate::kratos::Device;
use crate::policy::address::{self, is_outside};
use crate::policy::answer::Answer::{self, No, Unknown, Yes};

#[rstest]
#[case::within(&["203.0.113.7"], No)]
#[case::with_a_port(&["203.0.113.7:51000"], No)]
#[case::outside(&["198.51.100.1"], Yes)]
#[case::outside_with_a_port(&["198.51.100.1:1"], Yes)]
#[case::version_six(&["2001:db8::1"], No)]
#[case::version_six_with_a_port(&["[2001:db8::1]:443"], No)]
#[case::version_six_in_brackets(&["[2001:db8::1]"], No)]
#[case::version_six_outside(&["2001:db9::1"], Yes)]
#[case::four_within_six(&["::ffff:203.0.113.7"], No)]
#[case::no_device(&[], Unknown)]
#[case::a_dropped_address(&[""], Unknown)]
#[case::a_name(&["office.example.com"], Unknown)]
#[case::two_addresses(&["203.0.113.7, 198.51.100.1"], Unknown)]
#[case::one_known_outside_and_one_unknown(&["198.51.100.1", ""], Unknown)]
#[case::one_outside(&["203.0.113.7", "198.51.100.1"], Yes)]
fn what_is_outside_is_known_or_isnt(#[case] stored: &[&str], #[case] expected: Answer) {
    let networks = ["203.0.113.0/24", "2001:db8::/32"].map(|text| address::network(text).unwrap());
    let device = |stored: &&str| Device {
        ip_address: Some((*stored).to_owned()).filter(|stored| !stored.is_empty()),
        ..Device::default()
    };
    let devices: Vec<_> = stored.iter().map(device).collect();
    assert_eq!(is_outside(&networks, &devices), expected);
}

#[rstest]
#[case("203.0.113.0/24", true)]
#[case("203.0.113.9/24", true)]
#[case("2001:db8::/32", true)]
#[case("203.0.113.0/33", false)]
#[case("203.0.113/24", false)]
#[case("203.0.113.7", false)]
#[case("1.2.3.4.5/8", false)]
#[case(":::/8", false)]
fn a_network_is_an_address_and_a_length(#[case] text: &str, #[case] is_one: bool) {
    assert_eq!(address::network(text).is_some(), is_one);
}
