/* Loads a libpetsc out of the way of others, as Python does, and then our library as PETSc would. */
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char **argv) {
    for (int k = 1; k < argc; k++) {
        void *library = dlopen(argv[k], RTLD_NOW | RTLD_LOCAL);
        if (!library) { fprintf(stderr, "%s\n", dlerror()); return 3; }
        int (*entry)(void) = (int (*)(void))dlsym(library, "PetscDLLibraryRegister_precondor_petsc");
        if (entry) return entry();
    }
    return 3;
}
