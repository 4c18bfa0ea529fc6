// Asio's own function bodies, compiled here and nowhere else.
#include "http/asio.h"

#include <boost/asio/impl/src.hpp>
