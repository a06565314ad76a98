// What stands between the matrix products of a decoder, on a CUDA device: kernels/row_kernels.cc has it for the host, with the
// same roundings. Compiled where the program runs; includes nothing.

struct Bf16 {
  unsigned short bits;
};

__device__ inline float Load(float x) { return x; }
__device__ inline float Load(Bf16 x) { return __uint_as_float((unsigned)x.bits << 16); }

// To nearest, ties to even.
__device__ inline float Round(float x, const float*) { return x; }
__device__ inline float Round(float x, const Bf16*) {
  const unsigned bits = __float_as_uint(x);
  return __uint_as_float((bits + 0x7FFFu + ((bits >> 16) & 1u)) & 0xFFFF0000u);
}
__device__ inline void Store(float x, float* to) { *to = x; }
__device__ inline void Store(float x, Bf16* to) { to->bits = (unsigned short)(__float_as_uint(Round(x, to)) >> 16); }

constexpr int kWarp = 32;
constexpr unsigned kAll = 0xffffffffu;

// A warp for a row. x, y [rows, columns]. A norm that adds one to its weight rounds once, others before it as well.
template <typename T>
__device__ inline void RmsNorm(const T* x, const T* weight, long long rows, int columns, float eps, int adds_one, T* y) {
  const long long row = ((long long)blockIdx.x * blockDim.x + threadIdx.x) / kWarp;
  if (row >= rows) return;
  const int lane = threadIdx.x % kWarp;
  x += row * columns;
  y += row * columns;
  float squares = 0.0f;
  for (int i = lane; i < columns; i += kWarp) squares += Load(x[i]) * Load(x[i]);
  for (int step = kWarp / 2; step > 0; step /= 2) squares += __shfl_xor_sync(kAll, squares, step, kWarp);
  const float scale = 1.0f / sqrtf(squares / (float)columns + eps);
  for (int i = lane; i < columns; i += kWarp) {
    const float normed = Load(x[i]) * scale;
    Store(adds_one ? normed * (1.0f + Load(weight[i])) : Round(normed, y) * Load(weight[i]), y + i);
  }
}

extern "C" __global__ void RmsNormFloat(const float* x, const float* weight, long long rows, int columns, float eps,
                                        int adds_one, float* y) {
  RmsNorm(x, weight, rows, columns, eps, adds_one, y);
}
extern "C" __global__ void RmsNormBf16(const Bf16* x, const Bf16* weight, long long rows, int columns, float eps, int adds_one,
                                       Bf16* y) {
  RmsNorm(x, weight, rows, columns, eps, adds_one, y);
}

// gate = silu(gate) * up
template <typename T>
__device__ inline void SiluMultiply(T* gate, const T* up, long long count) {
  const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const float x = Load(gate[i]);
  Store(Round(x / (1.0f + expf(-x)), gate) * Load(up[i]), gate + i);
}

// gate = gelu(gate) * up, with tanh in place of erf: x / (1 + exp(-2 u)), u = sqrt(2 / pi) (x + 0.044715 x^3)
template <typename T>
__device__ inline void GeluMultiply(T* gate, const T* up, long long count) {
  const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const float x = Load(gate[i]);
  Store(Round(x / (1.0f + expf(-1.59576912f * (x + 0.044715f * x * x * x))), gate) * Load(up[i]), gate + i);
}

extern "C" __global__ void GeluMultiplyFloat(float* gate, const float* up, long long count) { GeluMultiply(gate, up, count); }
extern "C" __global__ void GeluMultiplyBf16(Bf16* gate, const Bf16* up, long long count) { GeluMultiply(gate, up, count); }
extern "C" __global__ void SiluMultiplyFloat(float* gate, const float* up, long long count) { SiluMultiply(gate, up, count); }
extern "C" __global__ void SiluMultiplyBf16(Bf16* gate, const Bf16* up, long long count) { SiluMultiply(gate, up, count); }

// A thread for a pair. x [texts, tokens, heads, 2 half], x_text and x_token apart; cosine, sine [tokens, half]; y likewise.
template <typename T>
__device__ inline void Rotate(const T* x, long long x_text, long long x_token, const T* cosine, const T* sine, long long texts,
                              long long tokens, int heads, int half, float scale, T* y, long long y_text, long long y_token,
                              long long y_head) {
  const long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  const int i = (int)(at % half), h = (int)(at / half % heads);
  const long long t = at / half / heads % tokens, b = at / half / heads / tokens;
  if (b >= texts) return;
  const T* from = x + b * x_text + t * x_token + (long long)h * 2 * half + i;
  T* to = y + b * y_text + t * y_token + h * y_head + i;
  const float left = Load(from[0]), right = Load(from[half]), c = Load(cosine[t * half + i]), s = Load(sine[t * half + i]);
  Store((left * c - right * s) * scale, to);
  Store((right * c + left * s) * scale, to + half);
}

extern "C" __global__ void RotateFloat(const float* x, long long x_text, long long x_token, const float* cosine,
                                       const float* sine, long long texts, long long tokens, int heads, int half, float scale,
                                       float* y, long long y_text, long long y_token, long long y_head) {
  Rotate(x, x_text, x_token, cosine, sine, texts, tokens, heads, half, scale, y, y_text, y_token, y_head);
}
extern "C" __global__ void RotateBf16(const Bf16* x, long long x_text, long long x_token, const Bf16* cosine, const Bf16* sine,
                                      long long texts, long long tokens, int heads, int half, float scale, Bf16* y,
                                      long long y_text, long long y_token, long long y_head) {
  Rotate(x, x_text, x_token, cosine, sine, texts, tokens, heads, half, scale, y, y_text, y_token, y_head);
}

// The largest of each row, the first of equals, and the logarithm of the sum of exp. A block of 256 threads for a row: a
// thread sums its share in float32, the shares are summed in float64. x [rows, count]
template <typename T>
__device__ inline void LogSum(const T* x, long long count, long long* best, double* log_sum) {
  constexpr int kThreads = 256;
  __shared__ float largest_of[kThreads];
  __shared__ long long place_of[kThreads];
  __shared__ double sum_of[kThreads];
  const int thread = threadIdx.x;
  x += blockIdx.x * count;
  float largest = -__int_as_float(0x7f800000);
  long long place = count;
  for (long long i = thread; i < count; i += kThreads) {
    const float value = Load(x[i]);
    if (value > largest || (place == count && value == largest)) {
      largest = value;
      place = i;
    }
  }
  largest_of[thread] = largest;
  place_of[thread] = place;
  __syncthreads();
  for (int step = kThreads / 2; step > 0; step /= 2) {
    if (thread < step) {
      const float other = largest_of[thread + step];
      const bool is_first = other == largest_of[thread] && place_of[thread + step] < place_of[thread];
      if (other > largest_of[thread] || is_first) {
        largest_of[thread] = other;
        place_of[thread] = place_of[thread + step];
      }
    }
    __syncthreads();
  }
  largest = largest_of[0];
  float sum = 0.0f;
  for (long long i = thread; i < count; i += kThreads) sum += expf(Load(x[i]) - largest);
  sum_of[thread] = (double)sum;
  __syncthreads();
  for (int step = kThreads / 2; step > 0; step /= 2) {
    if (thread < step) sum_of[thread] += sum_of[thread + step];
    __syncthreads();
  }
  if (thread == 0) {
    best[blockIdx.x] = place_of[0] < count ? place_of[0] : 0;
    log_sum[blockIdx.x] = (double)largest + log(sum_of[0]);
  }
}

extern "C" __global__ void LogSumFloat(const float* x, long long count, long long* best, double* log_sum) {
  LogSum(x, count, best, log_sum);
}
extern "C" __global__ void LogSumBf16(const Bf16* x, long long count, long long* best, double* log_sum) {
  LogSum(x, count, best, log_sum);
}

// Two attentions of the same queries over different keys as one over all of them. a, b, y [tokens, heads, dh]; the logarithms
// of their softmax's sums [heads, tokens].
template <typename T>
__device__ inline void MergeAttention(const T* a, const T* b, const float* sums_a, const float* sums_b, long long tokens,
                                      int heads, int dh, T* y) {
  const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= tokens * heads * dh) return;
  const long long h = i / dh % heads, t = i / dh / heads;
  const float share = 1.0f / (1.0f + expf(sums_b[h * tokens + t] - sums_a[h * tokens + t]));
  const float left = Load(a[i]), right = Load(b[i]);
  Store(right + (left - right) * share, y + i);
}

extern "C" __global__ void MergeAttentionFloat(const float* a, const float* b, const float* sums_a, const float* sums_b,
                                               long long tokens, int heads, int dh, float* y) {
  MergeAttention(a, b, sums_a, sums_b, tokens, heads, dh, y);
}
extern "C" __global__ void MergeAttentionBf16(const Bf16* a, const Bf16* b, const float* sums_a, const float* sums_b,
                                              long long tokens, int heads, int dh, Bf16* y) {
  MergeAttention(a, b, sums_a, sums_b, tokens, heads, dh, y);
}
