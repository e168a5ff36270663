// What a call is refused with.
#pragma once

#include <c10/util/Exception.h>

#include <string>

#include "perceive/core/error.h"

namespace perceive {

// The message of the error that `call` ends with, as the user sees it; "accepted" where it ends without one.
template <class Call>
std::string refusal(Call&& call) {
  try {
    call();
  } catch (const core::Error& error) {
    return error.what();
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  }
  return "accepted";
}

}  // namespace perceive
