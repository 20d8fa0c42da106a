//! The digits of a 64-bit float in the manner of Grisu2 (Loitsch 2010): nearly always the fewest
//! that read back as the same number, and those of Valkey where they are not.

#![expect(clippy::cast_possible_truncation, reason = "numbers are cut into digits")]

/// Digits that a float takes at most.
pub const DIGITS_MAX: usize = 18;

/// Decimal digits of a number: they count 10^`exponent`.
#[derive(Clone, Copy, Debug)]
pub struct Digits {
    digits: [u8; DIGITS_MAX],
    count: usize,
    /// The power of ten that the last digit counts.
    pub exponent: i32,
}

impl Digits {
    /// The digits, as text.
    #[inline]
    pub fn text(&self) -> &[u8] {
        &self.digits[..self.count]
    }

    #[inline]
    fn push(&mut self, digit: u64) {
        if 0 < digit || 0 < self.count {
            self.digits[self.count] = b'0' + digit as u8;
            self.count += 1;
        }
    }

    /// Lowers the last digit as long as that brings it nearer to the number. All in the same unit:
    /// `rest` stands behind the digits, which lie up to `width` below the upper bound, the number
    /// `wanted` below it; one of the last digit is `one`.
    fn approach(&mut self, width: u64, mut rest: u64, one: u64, wanted: u64) {
        while rest < wanted
            && one <= width - rest
            && (rest + one < wanted || rest + one - wanted < wanted - rest)
        {
            self.digits[self.count - 1] -= 1;
            rest += one;
        }
    }
}

/// A number as `mantissa` * 2^`exponent`.
#[derive(Clone, Copy, Debug)]
struct Scaled {
    mantissa: u64,
    exponent: i32,
}

impl Scaled {
    /// With the highest bit set.
    fn normal(self) -> Self {
        let shift = self.mantissa.leading_zeros();
        Self { mantissa: self.mantissa << shift, exponent: self.exponent - shift.cast_signed() }
    }

    fn times(self, other: Self) -> Self {
        let product = u128::from(self.mantissa) * u128::from(other.mantissa);
        let rounded = (product + (1 << 63)) >> 64;
        Self { mantissa: rounded as u64, exponent: self.exponent + other.exponent + 64 }
    }
}

const FRACTION_BITS: u32 = 52;
const HIDDEN: u64 = 1 << FRACTION_BITS;
const EXPONENT_BIAS: i32 = 1023 + FRACTION_BITS as i32;

/// The digits of a finite number above zero.
pub fn digits(number: f64) -> Digits {
    let bits = number.to_bits();
    let (fraction, biased) = (bits & (HIDDEN - 1), (bits >> FRACTION_BITS) as i32 & 0x7FF);
    let value = match biased {
        0 => Scaled { mantissa: fraction, exponent: 1 - EXPONENT_BIAS },
        _ => Scaled { mantissa: fraction | HIDDEN, exponent: biased - EXPONENT_BIAS },
    };
    // What lies between the middles to both neighbors reads back as the number. Below a power of
    // two they are nearer.
    let upper = Scaled { mantissa: 2 * value.mantissa + 1, exponent: value.exponent - 1 }.normal();
    let shift = if value.mantissa == HIDDEN { 2 } else { 1 };
    let lower = (value.mantissa << shift) - 1;
    let lower = lower << (value.exponent - shift - upper.exponent);
    let lower = Scaled { mantissa: lower, exponent: upper.exponent };

    let (power, exponent) = power_for(upper.exponent);
    let value = value.normal().times(power);
    // Errors of the products are kept out.
    let upper = upper.times(power);
    let upper = Scaled { mantissa: upper.mantissa - 1, ..upper };
    let lower = lower.times(power).mantissa + 1;
    generate(upper, upper.mantissa - lower, upper.mantissa - value.mantissa, -exponent)
}

/// The fewest digits of a number within `width` below `upper` that is near the one `wanted` below.
fn generate(upper: Scaled, mut width: u64, mut wanted: u64, exponent: i32) -> Digits {
    let mut digits = Digits { digits: [0; DIGITS_MAX], count: 0, exponent };
    let shift = -upper.exponent;
    let one = 1u64 << shift;
    let (mut whole, mut part) = (upper.mantissa >> shift, upper.mantissa & (one - 1));
    for place in (0..10u32).rev() {
        let unit = 10u64.pow(place);
        digits.push(whole / unit);
        whole %= unit;
        let rest = (whole << shift) + part;
        if rest <= width {
            digits.exponent += place.cast_signed();
            digits.approach(width, rest, unit << shift, wanted);
            return digits;
        }
    }
    loop {
        part *= 10;
        width *= 10;
        wanted = wanted.wrapping_mul(10);
        digits.exponent -= 1;
        digits.push(part >> shift);
        part &= one - 1;
        if part < width {
            digits.approach(width, part, one, wanted);
            return digits;
        }
    }
}

/// Exponents of two between which a product must come to lie.
const EXPONENT_MIN: i32 = -60;
const EXPONENT_MAX: i32 = -32;
/// The first of the powers of ten below, and from each to the next.
const FIRST: i32 = -348;
const STEP: i32 = 8;

/// A power of ten that brings numbers of this exponent into range, and which one it is.
fn power_for(exponent: i32) -> (Scaled, i32) {
    let estimate = f64::from(-(exponent + POWERS.len() as i32)) * core::f64::consts::LOG10_2;
    let mut index = (estimate as i32 - FIRST) / STEP;
    loop {
        let ten = FIRST + index * STEP;
        let power = Scaled {
            mantissa: POWERS[usize::try_from(index).expect("the estimate is good")],
            // The logarithm of ten to base two, times 2^16.
            exponent: ((ten * 217_706) >> 16) - 63,
        };
        let product = exponent + power.exponent + 64;
        if product < EXPONENT_MIN {
            index += 1;
        } else if EXPONENT_MAX < product {
            index -= 1;
        } else {
            return (power, ten);
        }
    }
}

/// 10^-348, 10^-340 ... 10^340, the first 64 bits of each, rounded.
const POWERS: [u64; 87] = [
    0xFA8F_D5A0_081C_0288,
    0xBAAE_E17F_A23E_BF76,
    0x8B16_FB20_3055_AC76,
    0xCF42_894A_5DCE_35EA,
    0x9A6B_B0AA_5565_3B2D,
    0xE61A_CF03_3D1A_45DF,
    0xAB70_FE17_C79A_C6CA,
    0xFF77_B1FC_BEBC_DC4F,
    0xBE56_91EF_416B_D60C,
    0x8DD0_1FAD_907F_FC3C,
    0xD351_5C28_3155_9A83,
    0x9D71_AC8F_ADA6_C9B5,
    0xEA9C_2277_23EE_8BCB,
    0xAECC_4991_4078_536D,
    0x823C_1279_5DB6_CE57,
    0xC210_9436_4DFB_5637,
    0x9096_EA6F_3848_984F,
    0xD774_85CB_2582_3AC7,
    0xA086_CFCD_97BF_97F4,
    0xEF34_0A98_172A_ACE5,
    0xB238_67FB_2A35_B28E,
    0x84C8_D4DF_D2C6_3F3B,
    0xC5DD_4427_1AD3_CDBA,
    0x936B_9FCE_BB25_C996,
    0xDBAC_6C24_7D62_A584,
    0xA3AB_6658_0D5F_DAF6,
    0xF3E2_F893_DEC3_F126,
    0xB5B5_ADA8_AAFF_80B8,
    0x8762_5F05_6C7C_4A8B,
    0xC9BC_FF60_34C1_3053,
    0x964E_858C_91BA_2655,
    0xDFF9_7724_7029_7EBD,
    0xA6DF_BD9F_B8E5_B88F,
    0xF8A9_5FCF_8874_7D94,
    0xB944_7093_8FA8_9BCF,
    0x8A08_F0F8_BF0F_156B,
    0xCDB0_2555_6531_31B6,
    0x993F_E2C6_D07B_7FAC,
    0xE45C_10C4_2A2B_3B06,
    0xAA24_2499_6973_92D3,
    0xFD87_B5F2_8300_CA0E,
    0xBCE5_0864_9211_1AEB,
    0x8CBC_CC09_6F50_88CC,
    0xD1B7_1758_E219_652C,
    0x9C40_0000_0000_0000,
    0xE8D4_A510_0000_0000,
    0xAD78_EBC5_AC62_0000,
    0x813F_3978_F894_0984,
    0xC097_CE7B_C907_15B3,
    0x8F7E_32CE_7BEA_5C70,
    0xD5D2_38A4_ABE9_8068,
    0x9F4F_2726_179A_2245,
    0xED63_A231_D4C4_FB27,
    0xB0DE_6538_8CC8_ADA8,
    0x83C7_088E_1AAB_65DB,
    0xC45D_1DF9_4271_1D9A,
    0x924D_692C_A61B_E758,
    0xDA01_EE64_1A70_8DEA,
    0xA26D_A399_9AEF_774A,
    0xF209_787B_B47D_6B85,
    0xB454_E4A1_79DD_1877,
    0x865B_8692_5B9B_C5C2,
    0xC835_53C5_C896_5D3D,
    0x952A_B45C_FA97_A0B3,
    0xDE46_9FBD_99A0_5FE3,
    0xA59B_C234_DB39_8C25,
    0xF6C6_9A72_A398_9F5C,
    0xB7DC_BF53_54E9_BECE,
    0x88FC_F317_F222_41E2,
    0xCC20_CE9B_D35C_78A5,
    0x9816_5AF3_7B21_53DF,
    0xE2A0_B5DC_971F_303A,
    0xA8D9_D153_5CE3_B396,
    0xFB9B_7CD9_A4A7_443C,
    0xBB76_4C4C_A7A4_4410,
    0x8BAB_8EEF_B640_9C1A,
    0xD01F_EF10_A657_842C,
    0x9B10_A4E5_E991_3129,
    0xE710_9BFB_A19C_0C9D,
    0xAC28_20D9_623B_F429,
    0x8044_4B5E_7AA7_CF85,
    0xBF21_E440_03AC_DD2D,
    0x8E67_9C2F_5E44_FF8F,
    0xD433_179D_9C8C_B841,
    0x9E19_DB92_B4E3_1BA9,
    0xEB96_BF6E_BADF_77D9,
    0xAF87_023B_9BF0_EE6B,
];

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use proptest::prelude::*;

    fn show(number: f64) -> String {
        let digits = digits(number);
        let text = core::str::from_utf8(digits.text()).unwrap();
        alloc::format!("{text}e{}", digits.exponent)
    }

    #[test]
    fn digits_are_the_fewest_but_where_valkey_has_more() {
        for (number, expected) in [
            (1.0, "1e0"),
            (0.1, "1e-1"),
            (1.5, "15e-1"),
            (5e-324, "5e-324"),
            (f64::MAX, "17976931348623157e292"),
            (f64::MIN_POSITIVE, "22250738585072014e-324"),
            (1e23, "9999999999999999e7"),
            (9.5e-8, "95e-9"),
        ] {
            assert_eq!(show(number), expected, "{number:e}");
        }
    }

    proptest! {
        #[test]
        fn digits_read_back(bits: u64) {
            let number = f64::from_bits(bits).abs();
            prop_assume!(number.is_finite() && number != 0.0);
            prop_assert_eq!(show(number).parse(), Ok(number));
        }
    }
}
