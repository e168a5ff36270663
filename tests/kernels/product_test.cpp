// The product of two matrices.
#include <gtest/gtest.h>

#include "tests/kernels/instruction_sets.h"

namespace perceive::kernels {
namespace {

using testing::difference;
using testing::Matrix;

class ProductTest : public testing::KernelTest {
 protected:
  // a lies row by row, its rows wider than deep, or depth by depth; b's rows are `apart` floats longer than wide.
  void expect_product(int64_t rows, int64_t depth, int64_t columns, bool add, bool transposed, int64_t apart = 5) {
    SCOPED_TRACE(::testing::Message() << rows << " x " << depth << " x " << columns << ", add " << add
                                      << ", transposed " << transposed << ", apart " << apart);
    Matrix a = transposed ? Matrix(depth, rows, rows + 3) : Matrix(rows, depth, depth + 1);
    Matrix b(depth, columns, columns + apart), c(rows, columns, columns + 2);
    for (Matrix* m : {&a, &b, &c}) m->data = numbers(static_cast<int64_t>(m->data.size()));
    std::vector<double> expected(c.data.begin(), c.data.end());
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t column = 0; column < columns; ++column) {
        double sum = add ? c.at(r, column) : 0.0;
        for (int64_t d = 0; d < depth; ++d) {
          sum += static_cast<double>(transposed ? a.at(d, r) : a.at(r, d)) * b.at(d, column);
        }
        expected[r * c.stride + column] = sum;
      }
    }
    tile().product({.a = a.data.data(),
                    .row_step = transposed ? 1 : a.stride,
                    .depth_step = transposed ? a.stride : 1,
                    .b = b.read(),
                    .c = c.write(),
                    .rows = rows,
                    .depth = depth,
                    .columns = columns,
                    .add = add});
    EXPECT_LT(difference(c.data, expected), 1e-5);
  }
};

TEST_P(ProductTest, AgreesWithTheFormula) {
  for (const int64_t rows : {1, 3, 5, 11, 12, 29}) {
    for (const int64_t depth : {0, 1, 7, 127, 129, 513}) {
      for (const int64_t vectors : {1, 2, 3, 5, 9}) {
        const bool add = (rows + vectors) % 2 == 0;
        for (const bool transposed : {false, true}) {
          expect_product(rows, depth, vectors * tile().width, add != transposed, transposed);
        }
      }
    }
  }
}

TEST_P(ProductTest, OfPackedColumnsAgrees) {
  for (int64_t columns = tile().width; columns <= tile().lanes; columns += tile().width) {
    for (const bool transposed : {false, true}) {
      expect_product(29, 37, columns, transposed, transposed, 0);
      expect_product(61, 130, columns, !transposed, transposed, 0);
    }
  }
}

// Which copies panels of columns, whole and narrower ones.
TEST_P(ProductTest, OfManyRowsAgrees) {
  for (const int64_t rows : {48, 61}) {
    for (const int64_t depth : {0, 3, 128, 2100}) {
      for (const bool add : {false, true}) {
        expect_product(rows, depth, tile().lanes, add, false);
        expect_product(rows, depth, tile().lanes + tile().width, add, true);
      }
    }
  }
}

TEST_P(ProductTest, OfDeepMatricesRunsInLayers) {
  expect_product(7, 2100, tile().lanes, false, false);
  expect_product(7, 2100, tile().lanes + tile().width, true, true);
}

PERCEIVE_KERNEL_TESTS(ProductTest);

}  // namespace
}  // namespace perceive::kernels
