#include "enfilade_shims.h"
