// The grid of a group of weights, on a CUDA device: integer_grid.cc has it for the host, and says what it does. Every
// operation and its order are the same, so are the bits. Compiled where the program runs; includes nothing.
//
// Sixteen threads share a group: thread l takes columns l, l + 16, ..., as lane l of the host does.

constexpr int kLanes = 16;
constexpr unsigned kAll = 0xffffffffu;

// As the host rounds: half to even, by a sum that has no fraction bits left.
__device__ inline float RoundHalfToEven(float x) { return __fsub_rn(__fadd_rn(x, 12582912.0f), 12582912.0f); }

__device__ inline float ToHalf(float x) {
#ifdef __CUDA_ARCH__
  unsigned short half;
  float back;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(x));
  asm("cvt.f32.f16 %0, %1;" : "=f"(back) : "h"(half));
  return back;
#else
  return HostToHalf(x);
#endif
}

__device__ inline float RoundScale(float scale, int half_scale, int digits) {
  const int cut = 24 - digits;
  unsigned word = (unsigned)__float_as_int(scale);
  if (digits > 0 && cut > 0 && word < 0x7f800000u) word = (word + (1u << (cut - 1)) - 1u + (word >> cut & 1u)) >> cut << cut;
  const float rounded = __int_as_float((int)word);
  return half_scale ? ToHalf(rounded) : rounded;
}

__device__ inline float ZeroOf(float low, float scale, float max_code, float fixed_zero) {
  if (fixed_zero >= 0.0f) return fixed_zero;
  const float zero = RoundHalfToEven(__fdiv_rn(-low, scale));
  const float raised = zero < 0.0f ? 0.0f : zero;
  return max_code < raised ? max_code : raised;
}

// a^norm for a >= 0, as PowerOf() of the host.
__device__ inline float PowerOf(float a, float norm) {
  const int least = __float_as_int(1e-30f), given = __float_as_int(a), word = given > least ? given : least;
  const int exponent = (word - 0x3f3504f3) >> 23;
  const float mantissa = __int_as_float(word - (exponent << 23));
  const float t = __fdiv_rn(__fsub_rn(mantissa, 1.0f), __fadd_rn(mantissa, 1.0f)), t2 = __fmul_rn(t, t);
  float sum = __fadd_rn(0.41219858f, __fmul_rn(t2, 0.32059890f));
  sum = __fadd_rn(0.57707802f, __fmul_rn(t2, sum));
  sum = __fadd_rn(0.96179669f, __fmul_rn(t2, sum));
  sum = __fadd_rn(2.88539008f, __fmul_rn(t2, sum));
  const float y = __fmul_rn(norm, __fadd_rn((float)exponent, __fmul_rn(t, sum)));
  const float whole = RoundHalfToEven(y), f = __fsub_rn(y, whole);
  int shift = (int)whole;
  shift = shift < -126 ? -126 : shift;
  shift = shift > 126 ? 126 : shift;
  float power = __fadd_rn(0.00133336f, __fmul_rn(f, 0.00015404f));
  power = __fadd_rn(0.00961813f, __fmul_rn(f, power));
  power = __fadd_rn(0.05550411f, __fmul_rn(f, power));
  power = __fadd_rn(0.24022651f, __fmul_rn(f, power));
  power = __fadd_rn(0.69314718f, __fmul_rn(f, power));
  power = __fadd_rn(1.0f, __fmul_rn(f, power));
  return __int_as_float(__float_as_int(power) + (shift << 23));
}

// weights [rows, columns], row_stride apart; scale_stride and zero_stride lie between the results of two rows.
//   fixed_zero   the zero of a symmetric grid; -1 where each group has its own
//   digits       significant ones of a scale; 0: those of its type
//   smallest     the scale in place of 0
//   candidates   of the range search, with p = 1 - i / steps; 0: none
extern "C" __global__ void FindUniformGroups(const float* weights, long long row_stride, long long rows, long long columns,
                                             float* scales, long long scale_stride, float* zeros, long long zero_stride,
                                             float max_code, float fixed_zero, int half_scale, int digits, float smallest,
                                             int candidates, int steps, float norm) {
  const int lane = threadIdx.x % kLanes;
  const long long given_row = (long long)blockIdx.x * (blockDim.x / kLanes) + threadIdx.x / kLanes;
  const bool is_row = given_row < rows;
  const long long row = is_row ? given_row : 0;  // All threads of a warp take part in its exchanges.
  const float* w = weights + row * row_stride;
  float low = 0.0f, high = 0.0f;
  for (long long j = lane; j < columns; j += kLanes) {
    low = w[j] < low ? w[j] : low;
    high = w[j] > high ? w[j] : high;
  }
  for (int step = kLanes / 2; step > 0; step /= 2) {
    const float other_low = __shfl_xor_sync(kAll, low, step, kLanes), other_high = __shfl_xor_sync(kAll, high, step, kLanes);
    low = other_low < low ? other_low : low;
    high = other_high > high ? other_high : high;
  }
  if (fixed_zero >= 0.0f) {
    const float positive = low < 0.0f ? -low : low;
    high = positive < high ? high : positive;
    if (low < 0.0f) low = -high;
  }
  if (low == 0.0f && high == 0.0f) {
    low = -1.0f;
    high = 1.0f;
  }
  float scale = RoundScale(__fdiv_rn(__fsub_rn(high, low), max_code), half_scale, digits);
  if (scale == 0.0f) scale = smallest;
  float zero = ZeroOf(low, scale, max_code, fixed_zero);
  float best = __int_as_float(0x7f800000);
  bool is_over = false;
  for (int i = 0; i < candidates; ++i) {
    const float p = (float)(1.0 - (double)i / steps);
    const float shrunk_low = __fmul_rn(p, low), shrunk_high = __fmul_rn(p, high);
    const float tried = RoundScale(__fdiv_rn(__fsub_rn(shrunk_high, shrunk_low), max_code), half_scale, digits);
    is_over = is_over || !(tried > 0.0f);
    const float tried_zero = ZeroOf(shrunk_low, tried, max_code, fixed_zero);
    float sum = 0.0f;
    for (long long j = lane; j < columns; j += kLanes) {
      float code = __fadd_rn(RoundHalfToEven(__fdiv_rn(w[j], tried)), tried_zero);
      code = code > 0.0f ? code : 0.0f;
      code = code < max_code ? code : max_code;
      const float error = __fsub_rn(__fmul_rn(tried, __fsub_rn(code, tried_zero)), w[j]);
      sum = __fadd_rn(sum, PowerOf(__int_as_float(__float_as_int(error) & 0x7fffffff), norm));
    }
    float total = 0.0f;
    for (int l = 0; l < kLanes; ++l) total = __fadd_rn(total, __shfl_sync(kAll, sum, l, kLanes));
    if (!is_over && total < best) {
      best = total;
      scale = tried;
      zero = tried_zero;
    }
  }
  if (is_row && lane == 0) {
    scales[row * scale_stride] = scale;
    zeros[row * zero_stride] = zero;
  }
}
