// Tiles whose keys lie on a grid (GridKeys in tile.h), instead of products over written-out features.
#pragma once

#include "perceive/kernels/tile.h"

namespace perceive::kernels::PERCEIVE_ISA {

void grid_forward(const KeyTile& tile, const ForwardBlock& block);
void grid_backward(const KeyTile& tile, const BackwardBlock& block);

}  // namespace perceive::kernels::PERCEIVE_ISA
