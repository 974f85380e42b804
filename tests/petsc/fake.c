/* A libpetsc that answers what FAKE asks for, to be refused. */
#include <stdlib.h>
#include <string.h>

static int is(const char *what) {
    const char *fake = getenv("FAKE");
    return fake && !strcmp(fake, what);
}
int PCRegister(const char *name, int (*create)(void *)) { return 0; }
int PetscDataTypeGetSize(int kind, size_t *size) { *size = is("int16") ? 2 : 4; return 0; }
int PetscDataTypeFromString(const char *name, int *kind, int *found) {
    *kind = is("complex") ? 2 : is("single") ? 5 : 1; /* PETSC_COMPLEX, PETSC_FLOAT, PETSC_DOUBLE */
    *found = 1;
    return 0;
}
#ifndef NO_VERSION
int PetscGetVersionNumber(int *major, int *minor, int *subminor, int *release) {
    *major = 3; *minor = is("old") ? 17 : 18; *subminor = 4; *release = 1;
    return 0;
}
#endif
int MPI_Get_library_version(char *text, int *length) {
    strcpy(text, "MPICH Version:\t4.0.2\nMPICH Release date: never\n");
    *length = strlen(text);
    return 0;
}
