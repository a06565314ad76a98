// The walk of GPTQ over some columns, on a CUDA device: column_walk.cc has it for the host, and says what it does. Every
// operation and its order are the same, so are the bits. Compiled where the program runs; includes nothing.
//
// Four threads share a row: thread l of them holds columns l, l + 4, l + 8, ... of at most 128, in registers. The factor of
// the columns lies in shared memory, where the rows of a warp read the same words.

constexpr int kThreads = 4, kRegisters = 32, kMostColumns = kThreads * kRegisters;

// As the host rounds: half to even, by a sum that has no fraction bits left.
__device__ inline float RoundHalfToEven(float x) { return __fsub_rn(__fadd_rn(x, 12582912.0f), 12582912.0f); }

// Walks columns [0, count) of `tile`, count <= 128, for several items: `rows` rows each that have a factor of their own, such
// as a mixture's experts. Each item has blocks of its own, of rows one after the other.
//
//   tile     [items rows, tile_stride] weights, from the first of these columns on; left as they are
//   factor   U [count, factor_stride] of the first item, from the element of the first column on the diagonal on; that of
//            the next one lies factor_step further
//   codes    [items rows, code_stride], errors [items rows, error_stride]: from the first of these columns on; written
//   scales, zeros [items rows, groups];  group_of [count] the group of each column; that of the next item lies group_step
//            further
//   levels, bounds: of a grid of levels, and where their cells end, 2^k - 1 of them; bound_count is 0 on a grid of
//            integers, whose largest code is max_code
extern "C" __global__ void WalkTile(const float* tile, long long tile_stride, const float* factor, long long factor_stride,
                                    unsigned char* codes, long long code_stride, float* errors, long long error_stride,
                                    const float* scales, const float* zeros, long long groups, const int* group_of,
                                    const float* levels, const float* bounds, int bound_count, float max_code,
                                    long long rows, long long factor_step, long long group_step, int count) {
  extern __shared__ float u[];  // [count, kMostColumns]
  const long long rows_per_block = blockDim.x / kThreads, blocks_per_item = (rows + rows_per_block - 1) / rows_per_block;
  const long long item = blockIdx.x / blocks_per_item;
  factor += item * factor_step;
  group_of += item * group_step;
  for (int i = threadIdx.x; i < count * kMostColumns; i += blockDim.x) {
    const int j = i / kMostColumns, k = i % kMostColumns;
    u[i] = k < count && k >= j ? factor[j * factor_stride + k] : 0.0f;
  }
  __syncthreads();
  const int lane = threadIdx.x % kThreads;
  const long long row_of_item = blockIdx.x % blocks_per_item * rows_per_block + threadIdx.x / kThreads;
  const long long row = item * rows + row_of_item;
  const bool is_row = row_of_item < rows;
  float w[kRegisters];
#pragma unroll
  for (int s = 0; s < kRegisters; ++s) {
    const int k = s * kThreads + lane;
    w[s] = is_row && k < count ? tile[row * tile_stride + k] : 0.0f;
  }
  float scale = 1.0f, zero = 0.0f;
  int loaded = -1;
#pragma unroll
  for (int s = 0; s < kRegisters; ++s) {
    for (int owner = 0; owner < kThreads; ++owner) {
      const int j = s * kThreads + owner;
      if (j >= count) break;
      if (group_of[j] != loaded) {
        loaded = group_of[j];
        scale = is_row ? scales[row * groups + loaded] : 1.0f;
        zero = is_row ? zeros[row * groups + loaded] : 0.0f;
      }
      const float x = __shfl_sync(0xffffffffu, w[s], owner, kThreads);
      float code, error;
      if (bound_count == 0) {
        code = __fadd_rn(RoundHalfToEven(__fdiv_rn(x, scale)), zero);
        code = code > 0.0f ? code : 0.0f;
        code = code < max_code ? code : max_code;
        error = __fdiv_rn(__fsub_rn(x, __fmul_rn(scale, __fsub_rn(code, zero))), u[j * kMostColumns + j]);
      } else {
        const float at = __fdiv_rn(x, scale);
        int nearest = 0;
        for (int step = (bound_count + 1) / 2; step > 0; step /= 2) nearest += at > bounds[nearest + step - 1] ? step : 0;
        code = (float)nearest;
        error = __fdiv_rn(__fsub_rn(x, __fmul_rn(scale, levels[nearest])), u[j * kMostColumns + j]);
      }
      if (is_row && lane == owner) {
        codes[row * code_stride + j] = (unsigned char)(int)code;
        errors[row * error_stride + j] = error;
      }
#pragma unroll
      for (int t = s; t < kRegisters; ++t) {
        const int k = t * kThreads + lane;
        if (k > j) w[t] = __fsub_rn(w[t], __fmul_rn(error, u[j * kMostColumns + k]));
      }
    }
  }
}

// Spreads the errors of `count` columns that were walked over `right` further ones of the same block, one after the other
// as the walk does: tile[r, k] -= errors[r, j] U[j, k] for j = 0, 1, ... Pointers stand at the first column of each; `rows` of
// `all_rows` are an item's, as above.
extern "C" __global__ void SpreadErrors(float* tile, long long tile_stride, const float* factor, long long factor_stride,
                                        const float* errors, long long error_stride, long long all_rows, long long rows,
                                        long long factor_step, int count, int right) {
  const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= all_rows * right) return;
  const long long row = i / right;
  factor += row / rows * factor_step;
  const int k = (int)(i % right);
  float w = tile[row * tile_stride + k];
  for (int j = 0; j < count; ++j) {
    w = __fsub_rn(w, __fmul_rn(errors[row * error_stride + j], factor[j * factor_stride + k]));
  }
  tile[row * tile_stride + k] = w;
}
