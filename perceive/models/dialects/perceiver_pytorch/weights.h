// The parameters of perceiver-pytorch's models: their names in each version, and the order of their initial draws.
#pragma once

#include <string>
#include <vector>

#include "perceive/io/tensors.h"
#include "perceive/models/dialects/draws.h"
#include "perceive/models/dialects/perceiver_pytorch/config.h"
#include "perceive/models/dialects/renamed.h"

namespace perceive::models::perceiver_pytorch {

// Within PreNorm(Attention) and PreNorm(FeedForward).
extern const Prefixes kAttentionNames, kMlpNames;

// Of Perceiver, and of PerceiverIO where the native model reads its input once. Numbers until 0.10.1, then words.
std::vector<Name> names_of(const models::PerceiverImpl& model, Version version);
// Of PerceiverBlock.
std::vector<Name> names_of(const nn::BlockImpl& block);

// Same seed, same weights. `layer` and `attention` end with a dot.
void draw(models::PerceiverImpl& model, Version version);
void draw(nn::BlockImpl& block);
void draw_attention(Draws& draws, const std::string& attention);
void draw_mlp(Draws& draws, const std::string& mlp);

// The version whose names, and whose attention residual, a state_dict has; `otherwise` where it shows neither.
Version version_of(const io::Tensors& state_dict, Version otherwise);
// Gives what has a name in `from` the name that stands for the same parameter in `to`.
io::Tensors renamed(io::Tensors tensors, const std::vector<Name>& from, const std::vector<Name>& to);

}  // namespace perceive::models::perceiver_pytorch
