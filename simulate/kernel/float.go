package kernel

import "math"

// The functions here are the ones of package math, which has versions in assembly
// for some processors and lets the compiler fuse products with sums on others.
// These give the same bits everywhere: every product is converted to float64,
// which forbids fusing it (see "Floating-point operators" in the Go
// specification).

const (
	ln2Hi = 6.93147180369123816490e-01
	ln2Lo = 1.90821492927058770002e-10
)

// horner is the polynomial with the given coefficients, the lowest power first.
func horner(x float64, coefficients []float64) float64 {
	sum := 0.0
	for i := len(coefficients) - 1; i >= 0; i-- {
		sum = float64(sum*x) + coefficients[i]
	}
	return sum
}

var (
	logOdd  = [...]float64{6.666666666666735130e-01, 2.857142874366239149e-01, 1.818357216161805012e-01, 1.479819860511658591e-01}
	logEven = [...]float64{3.999999999940941908e-01, 2.222219843214978396e-01, 1.531383769920937332e-01}
)

// log is the natural logarithm of a positive, finite number, within a unit of the
// last place: FreeBSD's e_log.c, as in package math.
func log(x float64) float64 {
	fraction, exponent := math.Frexp(x)
	if fraction < math.Sqrt2/2 {
		fraction *= 2
		exponent--
	}
	f, k := fraction-1, float64(exponent)
	s := f / (2 + f)
	s2 := float64(s * s)
	s4 := float64(s2 * s2)
	r := float64(s2*horner(s4, logOdd[:])) + float64(s4*horner(s4, logEven[:]))
	half := float64(float64(f*f) / 2)
	small := float64(s*(half+r)) + float64(k*ln2Lo)
	return float64(k*ln2Hi) - ((half - small) - f)
}

var expTerms = [...]float64{1.66666666666666657415e-01, -2.77777777770155933842e-03, 6.61375632143793436117e-05,
	-1.65339022054652515390e-06, 4.13813679705723846039e-08}

// exp is e^x for any x, within a unit of the last place: FreeBSD's e_exp.c, as in
// package math.
func exp(x float64) float64 {
	switch {
	case x > 709:
		return math.Inf(1)
	case x < -709:
		return 0
	}
	k := math.Round(float64(math.Log2E * x))
	hi, lo := x-float64(k*ln2Hi), float64(k*ln2Lo)
	r := hi - lo
	t := float64(r * r)
	c := r - float64(t*horner(t, expTerms[:]))
	y := 1 - ((lo - float64(r*c)/(2-c)) - hi)
	return math.Ldexp(y, int(k))
}

var (
	middleAbove = [...]float64{1.1975323115670912564578e0, 4.7072688112383978012285e1, 6.9706266534389598238465e2, 4.8548868893843886794648e3,
		1.6235862515167575384252e4, 2.3782041382114385731252e4, 1.1819493347062294404278e4, 8.8709406962545514830200e2}
	middleBelow = [...]float64{1, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
		2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3}
	outerAbove = [...]float64{1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
		1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4}
	outerBelow = [...]float64{1.4142135623730950488016887e0, 2.9036514445419946173133295e0, 2.3707661626024532365971225e0, 9.7547832001787427186894837e-1,
		2.0945065210512749128288442e-1, 2.1494160384252876777097297e-2, 7.7441459065157709165577218e-4, 1.4859850019840355905497876e-9}
	farAbove = [...]float64{6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1,
		2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7}
	farBelow = [...]float64{1.414213562373095048801689e0, 8.482908416595164588112026e-1, 1.936480946950659106176712e-1, 2.103693768272068968719679e-2,
		1.112800997078859844711555e-3, 2.611088405080593625138020e-5, 2.010321207683943062279931e-7, 2.891024605872965461538222e-15}
)

// normal is the point that a standard normal variable is below with probability
// p, 0 < p < 1, within 1e-15 of its size: Wichura's algorithm AS 241 (1988).
func normal(p float64) float64 {
	q := p - 0.5
	if math.Abs(q) <= 0.425 {
		r := 0.180625 - float64(q*q)
		return float64(q*2*horner(r, middleAbove[:])) / horner(r, middleBelow[:]) * math.Sqrt2
	}
	tail := min(p, 1-p)
	r := math.Sqrt(-log(tail))
	above, below := outerAbove[:], outerBelow[:]
	if r -= 1.6; r > 3.4 {
		above, below = farAbove[:], farBelow[:]
		r -= 3.4
	}
	return math.Copysign(horner(r, above)/horner(r, below)*math.Sqrt2, q)
}
